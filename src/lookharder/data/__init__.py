"""Ground truth: examples, readers of published layouts, file formats, and the embedded world that renders its own."""
