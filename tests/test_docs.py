"""Every command that README and docs show is one that the command line understands, and their Python runs."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookharder.cli import parse

ROOT = Path(__file__).parents[1]
# the log tells what was run in its day
PAGES = [p for p in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if p.stem != "log"]
RUN = ("index", "faq", "predict")  # pages whose Python needs nothing but a photo


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
    assert sum(len(commands(page)) for page in PAGES) > 80


@pytest.fixture
def beside_a_photo(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", RUN)
def test_python_of_a_page_runs(name, beside_a_photo):
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, f"{name}.md", "exec"), names)


def test_the_notebook_runs_and_holds_no_outputs(beside_a_photo):
    notebook = json.loads((ROOT / "docs" / "try.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    names: dict[str, object] = {}
    for cell in cells:
        lines = re.sub("%pip .*", "raise AssertionError", "".join(cell["source"]))  # it is there
        exec(compile(lines, "try.ipynb", "exec"), names)
    assert Path("out").is_dir()


def test_every_page_is_in_the_site():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    inside = {
        line.split("<")[-1].rstrip(">")
        for block in re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
        for line in block.splitlines()
    }
    docs = ROOT / "docs"
    pages = {path.relative_to(docs).with_suffix("").as_posix() for path in docs.rglob("*.md")}
    assert pages - {"index"} <= inside


def test_links_of_pages_lead_to_pages_of_the_site_or_to_files_that_are_there():
    """Sphinx knows no page outside `docs`, and says so only when the site is built."""
    docs = ROOT / "docs"
    for page in docs.rglob("*.md"):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", text):
            if "://" in link:
                continue
            target = (page.parent / link).resolve()
            assert target.exists(), f"{page.name}: {link}"
            outside = target.suffix == ".md" and not target.is_relative_to(docs)
            assert not outside, f"{page.name}: {link}"
