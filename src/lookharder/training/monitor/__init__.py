"""What a run reports while it goes on: journal, throughput, validation, and its history afterwards."""
