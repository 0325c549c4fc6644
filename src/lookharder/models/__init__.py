"""The network: what it is made of, what it costs, and how published weights come in."""
