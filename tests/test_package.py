"""The package as a whole: light to import, sizes of its rooms."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from lookharder import __version__

SOURCE = Path(__file__).parents[1] / "src" / "lookharder"
HEAVY = ("torch", "numpy", "matplotlib", "cv2", "diffusers", "scipy", "jinja2", "embreex")


LIBRARIES = {"matplotlib", "cv2", "diffusers", "scipy", "jinja2", "rich", "embreex"}
STEPS = (
    "import lookharder.cli",
    "from lookharder import Predictor; Predictor.from_pretrained('tiny')",
    "import lookharder.models.dit, lookharder.training.run, lookharder.tasks.registry, lookharder.data.source",
)


@pytest.fixture(scope="module")
def imported() -> list[set[str]]:
    """What is imported after each of `STEPS`, one after the other in a new process."""
    code = "import sys\n" + "".join(f"{step}\nprint(*sys.modules)\n" for step in STEPS)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    lines = result.stdout.splitlines()
    return [{name.partition(".")[0] for name in line.split()} for line in lines]


def test_importing_the_command_line_imports_nothing_heavy(imported):
    assert not imported[0] & set(HEAVY)


def test_opening_a_model_does_not_import_the_compiler(imported):
    """torch's brings sympy along: longer than a prediction takes."""
    assert "torch" in imported[1] and "sympy" not in imported[1]


def test_a_bare_gpu_image_can_train(imported):
    assert not imported[2] & LIBRARIES


def test_no_module_outgrows_its_room():
    long = {p.name: n for p in SOURCE.rglob("*.py") if (n := len(p.read_text().splitlines())) > 300}
    assert not long


def test_a_class_has_its_name_for_itself():
    names = Counter(
        node.name
        for path in SOURCE.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_every_module_opens_with_its_lesson():
    for path in SOURCE.rglob("*.py"):
        text = path.read_text()
        assert not text or text.startswith('"""'), path


def test_no_file_names_a_machine_s_own_path():
    """What is published reads the same on every machine: no home or working folder stands in it."""
    own = re.compile(r"(?<![\w.>/:])/(?:work|home|root|Users)/\w")
    root = SOURCE.parents[1]
    folders = ("src", "tests", "benchmarks", "docs", "examples")
    files = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    files += [path for path in root.glob("*") if path.is_file()]
    kinds = {".py", ".md", ".toml", ".txt", ".json", ".jsonl", ".j2", ".css", ".html", ".cff", ""}
    found = [
        f"{path.relative_to(root)}: {match.group()}"
        for path in files
        if path.suffix in kinds and ".git" not in path.name
        for match in own.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_the_version_is_the_one_that_is_cited():
    root = SOURCE.parents[1]
    assert f"\nversion: {__version__}\n" in (root / "CITATION.cff").read_text()
    assert f"version = {{{__version__}}}" in (root / "README.md").read_text()
    assert f"\n## {__version__} " in (root / "CHANGELOG.md").read_text()
