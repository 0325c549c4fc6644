"""What `from lookharder import Predictor` is for a type checker, read by mypy from five lines of a caller."""

import ast
from pathlib import Path

import pytest

import lookharder

CALLER = """
from lookharder import Predictor
predictor = Predictor.from_pretrained("tiny")
reveal_type(predictor("image", ensemble_size=8).macs)
predictor("image", ensemble_size="8")
predictor("image", ensemble_sise=8)
"""


def test_what_loads_when_asked_for_is_imported_for_type_checkers():
    tree = ast.parse(Path(lookharder.__file__).read_text())
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(checked.test) == "TYPE_CHECKING"
    names = {name.name for node in checked.body for name in node.names}
    assert names | {"__version__"} == set(lookharder.__all__)
    for node in checked.body:
        for name in node.names:
            assert getattr(lookharder, name.name).__module__ == node.module


@pytest.mark.slow  # mypy reads the package first: a minute
def test_a_caller_is_checked(tmp_path):
    api = pytest.importorskip("mypy.api")
    caller = tmp_path / "caller.py"
    caller.write_text(CALLER)
    arguments = ["--follow-imports=silent", "--ignore-missing-imports", "--no-error-summary"]
    said, trouble, _ = api.run([*arguments, "--cache-dir", str(tmp_path / "cache"), str(caller)])
    assert not trouble
    lines = [line.split(": ", 2) for line in said.splitlines()]
    assert [(place.rpartition(":")[2], kind) for place, kind, _ in lines] == [
        ("4", "note"),
        ("5", "error"),
        ("6", "error"),
    ]
    (_, _, macs), (_, _, wrong), (_, _, misspelt) = lines
    assert '"builtins.int"' in macs or '"int"' in macs
    assert '"ensemble_size"' in wrong
    assert '"ensemble_sise"' in misspelt and "Never" in misspelt
