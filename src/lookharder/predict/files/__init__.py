"""Pictures on disk in, predictions on disk out: what `lookharder predict` does."""
