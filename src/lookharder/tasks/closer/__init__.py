"""How a task looks again at pictures that it has seen: in windows at a finer scale, each beside the answer so far."""
