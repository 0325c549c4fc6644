"""The benchmarks' command line: each can be imported and reads the options that its signature names."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks import harness  # noqa: E402


@pytest.mark.parametrize("name", harness.names())
def test_a_benchmark_has_a_command_line_and_stands_in_the_table(name):
    pytest.importorskip("diffusers")
    _, parser = harness.build(name)
    assert name in parser.prog and parser.description
    assert f"| {name} |" in (ROOT / "benchmarks/README.md").read_text()


def test_a_signature_is_a_command_line():
    _, parser = harness.build("caching")
    given = parser.parse_args(["--steps", "3", "4", "--out", "x.json"])
    assert (given.steps, given.every, given.out) == ([3, 4], (1, 2, 3, 5), Path("x.json"))
    _, parser = harness.build("planner")
    with pytest.raises(SystemExit):
        parser.parse_args(["results"])  # --budgets and --work are required


def test_sides_alternate_and_the_warm_up_does_not_count():
    told = []
    sides = {name: lambda name=name: told.append(name) for name in "abc"}
    times = harness.take_turns(sides, 3, warm_up=1, only_rounds={"c": 2})
    assert told == [*"ab", *"abc", *"abc", *"ab"]
    assert {name: len(turns) for name, turns in times.wall.items()} == {"a": 3, "b": 3, "c": 2}
