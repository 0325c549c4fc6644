"""Learning: one loop for every stage, on one process or many, that never loses an iteration."""
