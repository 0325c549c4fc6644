"""Where tests put files: writers make no folder."""

from pathlib import Path


def within(path: Path) -> Path:
    """The path, whose folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
