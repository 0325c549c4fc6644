"""The benchmarks' command line: each can be imported and reads the options that its signature names."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks import harness  # noqa: E402

from lookharder.hardware import pick_device  # noqa: E402
from lookharder.scaling.record import Records  # noqa: E402


@pytest.mark.parametrize("name", harness.names())
def test_a_benchmark_has_a_command_line_and_stands_in_the_table(name):
    pytest.importorskip("diffusers")
    _, parser = harness.build(name)
    assert name in parser.prog and parser.description
    assert f"| {name} |" in (ROOT / "benchmarks/README.md").read_text()


@pytest.mark.slow
def test_what_a_gpu_is_asked_can_be_asked_of_a_cpu(tmp_path):
    pytest.importorskip("diffusers")
    harness.call(["gpu", "--device", "cpu", "--small", "--out", str(tmp_path / "gpu.json")])
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["parity"].keys() >= {"dit_dense", "dit_moe", "generalist_moe_upcycled"}
    assert max(found["answers"].values()) == 0  # the device is the host
    for name in ("training", "prediction", "moe", "attention", "merge", "memory"):
        assert isinstance(found[name], dict), found[name]


def test_without_time_a_part_is_not_measured(tmp_path, capsys):
    pytest.importorskip("diffusers")
    line = ["gpu", "--device", "cpu", "--small", "--minutes", "-1", "--out"]
    harness.call([*line, str(tmp_path / "new" / "gpu.json")])
    found = json.loads((tmp_path / "new" / "gpu.json").read_text())
    assert found["parity"] == found["memory"] == "not measured: no time left"


def test_a_signature_is_a_command_line():
    _, parser = harness.build("caching")
    given = parser.parse_args(["--steps", "3", "4", "--out", "x.json"])
    assert (given.steps, given.every, given.out) == ([3, 4], (1, 2, 3, 5), Path("x.json"))
    _, parser = harness.build("planner")
    with pytest.raises(SystemExit):
        parser.parse_args(["results"])  # --budgets and --work are required


def test_where_a_network_runs_is_asked_on_the_command_line():
    """Of all that load a model for its answers; others compare what a CPU does, or make what is shipped."""
    pytest.importorskip("diffusers")
    hosts = (
        "cold folder frontier.report forecasts.report levels.picture levels.records onnx_runtime "
    )
    hosts += "ship ship_sight sight_curve sight_trials stem_layout waiting"
    loads = ("from_pretrained(", "Chain.load(")
    for name in set(harness.names()) - set(hosts.split()):
        text = (ROOT / "benchmarks" / f"{name.partition('.')[0]}.py").read_text()
        _, parser = harness.build(name)
        assert "--device" in parser.format_help() or not any(call in text for call in loads), name


def test_what_a_benchmark_cannot_use_is_one_line(capsys, tmp_path):
    pytest.importorskip("diffusers")
    with pytest.raises(SystemExit) as ended:
        harness.call(["rest", "nowhere:", "--out", str(tmp_path / "rest.json")])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.startswith("benchmarks rest: error: ")


def test_what_another_package_is_needed_for_says_which(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    monkeypatch.delitem(sys.modules, "benchmarks.dit_forward", raising=False)
    with pytest.raises(SystemExit) as ended:
        harness.call(["dit_forward"])
    assert ended.value.code == 2
    assert "it needs diffusers, which is not here" in capsys.readouterr().err


def test_a_result_says_where_it_ran():
    assert harness.machine("cpu")["device"] == "cpu"
    assert harness.machine("auto")["device"] == harness.machine(str(pick_device("auto")))["device"]


def test_the_report_has_the_settings_that_were_measured():
    pytest.importorskip("diffusers")
    from benchmarks import levels

    results = ROOT / "docs/results"
    measured = [
        json.loads((results / f"{name}.json").read_text())
        for name in ("levels-large", "levels-large-tiny", "levels-large-tiny-1")
    ]
    found = [record for each in measured for record in levels.records_of(each)]
    assert found == Records.read(results / "laptop/others.jsonl")
    axes = {(r.task, r.metric, r.point["model"], r.seed, r.point["along"]) for r in found}
    once = [r for r in found if all(r.point[axis] == 1 for axis in levels.ONE)]
    assert len(once) == len(axes), "one look begins every axis"


def test_sides_alternate_and_the_warm_up_does_not_count():
    told = []
    sides = {name: lambda name=name: told.append(name) for name in "abc"}
    times = harness.take_turns(sides, 3, warm_up=1, only_rounds={"c": 2})
    assert told == [*"ab", *"abc", *"abc", *"ab"]
    assert {name: len(turns) for name, turns in times.wall.items()} == {"a": 3, "b": 3, "c": 2}
