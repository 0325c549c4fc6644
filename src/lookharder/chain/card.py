"""The card of a model folder, README.md: front matter that the Hugging Face hub reads, and text for people."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lookharder.chain.config import ChainConfig
from lookharder.files import read_text

CARD = "README.md"
FENCE = "---\n"


def write_card(
    config: ChainConfig, text: str, *, license: str | None = None, datasets: Iterable[str] = ()
) -> str:
    """The card of a model.

    Args:
        config: of the model; the hub sorts it under the first task that it has a word for, perception first.
        text: Markdown, from the title on.
        license: of the weights, by the hub's name; None = not said.
        datasets: names of what it was trained on.
    """
    perception_first = sorted(config.tasks, key=lambda task: task.sources == 0)
    said = {
        "license": license,
        "library_name": "lookharder",
        "pipeline_tag": next(filter(None, (task.pipeline for task in perception_first)), None),
        "tags": [task.name for task in config.tasks],
        "datasets": list(datasets),
    }
    return with_fields(text, {key: value for key, value in said.items() if value})


def read_card(folder: Path) -> str:
    """The card of a model folder, or nothing."""
    return read_text(folder / CARD) if (folder / CARD).is_file() else ""


def front_matter(card: str) -> str:
    """The front matter of a card with its fences, or nothing."""
    parts = card.split(FENCE, 2)
    return f"{FENCE}{parts[1]}{FENCE}" if len(parts) == 3 and not parts[0] else ""


def with_fields(card: str, fields: Mapping[str, Any]) -> str:
    """A card whose front matter says so much more, or says it anew; values are JSON, which is YAML."""
    front = front_matter(card)
    inner, text = front.removeprefix(FENCE).removesuffix(FENCE), card.removeprefix(front)
    for key in fields:  # with the lines that belong to it
        inner = re.sub(rf"(?m)^{re.escape(key)}:.*\n(?:[ -].*\n)*", "", inner)
    lines = "".join(f"{key}: {json.dumps(value)}\n" for key, value in fields.items())
    return f"{FENCE}{inner}{lines}{FENCE}{text}"
