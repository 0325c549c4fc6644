"""Every command that README and docs show is one that the command line understands."""

import re
import shlex
from pathlib import Path

import pytest

from lookharder.cli import parse

ROOT = Path(__file__).parents[1]
# the log tells what was run in its day
PAGES = [p for p in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if p.stem != "log"]


def commands(page: Path) -> list[str]:
    """What begins as a command with arguments, in blocks and in the tables of compare.md."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    if page.stem == "compare":  # its commands stand in tables
        lines += re.findall(r"`([^`\n]+)`", text)
    return [line for line in lines if re.match(r"lookharder \w+ \S", line) and "..." not in line]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_understood(page):
    for line in commands(page):
        parse(shlex.split(line, comments=True)[1:])


def test_there_are_commands():
    assert sum(len(commands(page)) for page in PAGES) > 60
