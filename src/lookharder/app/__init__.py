"""A page to play with, on this machine alone: what it answers (`answers`), and how it looks (`page`, by gradio)."""
