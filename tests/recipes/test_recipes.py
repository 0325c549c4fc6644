"""Every recipe: its parameters are the paper's, its docstring says its cost, its miniature runs from its own start."""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lookharder.chain import Chain
from lookharder.config import override, to_json
from lookharder.data.example import Dataset
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import Remembered
from lookharder.errors import InputError
from lookharder.evaluate.evaluation import evaluate, protocol
from lookharder.metrics.scores import SCORES
from lookharder.models.dit import DiT
from lookharder.models.transfer import transfer
from lookharder.predict.predictor import Predictor
from lookharder.recipes import RECIPES, differences, improved, shrink
from lookharder.training import run as run_module
from lookharder.training.cost import DEVICES, cost
from lookharder.training.forecast import forecast
from lookharder.training.run import RunConfig, run

PAPER = {name: make for name, make in RECIPES.items() if name.startswith("paper_")}
MILLIONS = {  # tables 1 and 2, and upcycled: parameters of a network
    "a1": 14.8,
    "a2": 77.2,
    "a3": 215.5,
    "a4": 458,
    "a5": 1200,
    "a6": 1860,
    "S-8E2A": 199,
    "S-16E2A": 369,
    "L-8E2A": 2800,
    "XL": 675,
    "a2-8E2A-upcycled": 312,
    "a3-8E2A-upcycled": 877,
    "a4-8E2A-upcycled": 1870,
    "XL-8E2A-upcycled": 2760,
}


def size_of(make: Callable[[], RunConfig]) -> str:
    assert isinstance(make, partial)
    return next((value for value in make.args[1:2] if value in MILLIONS), "XL")


def row_of(name: str) -> list[float]:
    """The numbers beside a recipe's name in the docstring of its function."""
    make = PAPER[name]
    assert isinstance(make, partial)
    found = re.findall(rf"^ *{name} +(\S.*)$", str(make.func.__doc__), re.MULTILINE)
    assert len(found) == 1, f"{name} has {len(found)} rows"
    return [float(word) for word in found[0].split()]


@pytest.mark.parametrize("name", PAPER)
def test_a_recipe_is_the_paper_s_network_and_its_docstring_says_what_it_costs(name):
    config = PAPER[name]()
    assert config.name == name
    with torch.device("meta"):
        network = DiT(config.chain.model)
    held = sum(p.numel() for p in network.parameters())
    priced = cost(config)
    assert priced.params == held
    positions = (config.chain.model.input_size // 2) ** 2 * config.chain.model.hidden_size
    assert (held + positions) / 1e6 == pytest.approx(MILLIONS[size_of(PAPER[name])], rel=0.02)
    row = [
        priced.macs / 1e9,
        priced.flops,
        priced.hours("H100"),
        priced.hours("H100", cached=False),
    ]
    assert row_of(name) == pytest.approx(row, rel=0.006)
    assert "Data: " in str(PAPER[name].func.__doc__)
    assert config.chain.prediction == "eps" and config.chain.model.learn_sigma
    assert forecast(config, ranks=8, device="cuda").peak > 16 * held


def test_the_paper_s_own_figures():
    """Compute at the end of Figure 2, read off the plot; FLOPs of the final models (6 MACs an item)."""
    for name, plotted in {"a1": 5.3e17, "a2": 3.1e18, "a4": 1.56e19, "a5": 4.3e19}.items():
        flops = cost(RECIPES[f"paper_table1_{name}"]()).paper_flops
        assert flops == pytest.approx(plotted, rel=0.2)
    assert cost(RECIPES["paper_table3_depth"]()).flops == pytest.approx(9.7e19, rel=0.01)
    assert cost(RECIPES["paper_table4_flow"]()).flops == pytest.approx(2 * 1.3e20, rel=0.02)
    assert cost(RECIPES["paper_table5_amodal"]()).flops == pytest.approx(1.7e19, rel=0.03)


def test_depth_alone_has_one_source_and_half_of_each_weight(trained):
    """Section 4 of the text: {picture, noisy depth}, eight channels, the first layer's values reduced by half."""
    sources = {"generation": 0, "depth": 1, "flow": 2, "amodal": 2}
    for name, make in PAPER.items():
        config = make()
        most = max(sources[task] for task in config.train.mix)
        expected = 2 if "generalist" in name else most
        assert config.chain.sources == expected and config.chain.model.in_channels == 4 * (
            expected + 1
        )
    before = Chain.load(trained("paper_table1_a1")).network
    wanted = shrink(PAPER["paper_fig3_a1"]()).chain.model
    weight = before.state_dict()["x_embedder.proj.weight"]
    after = transfer(before, wanted).state_dict()["x_embedder.proj.weight"]
    torch.testing.assert_close(after, weight.repeat(1, 2, 1, 1) / 2, rtol=0, atol=0)


def test_every_start_is_a_recipe_s_model_or_dit_s_own():
    for name, make in PAPER.items():
        init = make().init
        if init is not None and not init.startswith("models/dit-xl-2-"):
            start = Path(init).parts[1]
            assert start in PAPER, name
            assert cost(PAPER[start]()).params != 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Iterator[Callable[[str], Path]]:
    """Model folder of a miniature, made of its own start; each recipe runs once, on scenes rendered once."""
    home, done = tmp_path_factory.mktemp("paper"), {}
    patch = pytest.MonkeyPatch()
    patch.setattr(run_module, "open_data", cache(run_module.open_data))

    def model(name: str) -> Path:
        if name not in done:
            done[name] = stage(name)
        return done[name]

    def stage(name: str) -> Path:
        if name.startswith(
            "dit-xl-2"
        ):  # published weights stand in for themselves as a fresh network
            config = shrink(PAPER["paper_table1_a1"]())
            config = replace(config, name=name)
        else:
            config = shrink(PAPER[name]())
        if config.init is not None:
            source = Path(config.init).parts
            config = replace(config, init=str(model(source[1])))
        for _ in run(config, home / name):
            pass
        return home / name / "model"

    yield model
    patch.undo()


@pytest.fixture(scope="module")
def scenes() -> Dataset:
    return Remembered(ProceduralWorld(32, 7, count=2))


@pytest.mark.parametrize("name", PAPER)
def test_the_miniature_of_a_recipe_runs_from_the_miniature_of_its_start(name, trained):
    folder = trained(name)
    small = shrink(PAPER[name]())
    assert Chain.load(folder).config == small.chain
    lines = (folder.parent / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["iteration"] for row in rows] == [1, 2]
    assert all(math.isfinite(row["loss"]) and row["grad_norm"] > 0 for row in rows)
    assert set(rows[0]["losses"]) == set(small.train.mix)
    assert (rows[0]["routing_loss"] > 0) == (small.chain.model.moe is not None)


PERCEPTION = [name for name in PAPER if "generation" not in PAPER[name]().train.mix]


@pytest.mark.parametrize("name", PERCEPTION)
def test_the_miniature_is_scored_and_answers_for_a_photo(name, trained, scenes):
    predictor = Predictor(Chain.load(trained(name)), name=name)
    for task in predictor.chain.tasks:
        rules = protocol(task, "procedural", predictor.chain)
        result = evaluate(predictor, task, scenes, data="scenes", rules=rules, steps=2, members=2)
        assert len(result.rows) == len(scenes)
        assert math.isfinite(result.means[SCORES[task].main[0]]["mean"])
        photo, given = scenes[0], predictor.chain.task(task).inputs
        beside = {each.argument: getattr(photo, each.field) for each in given}
        answer = predictor(photo.image, task, num_inference_steps=2, ensemble_size=2, **beside)
        assert np.isfinite(answer.prediction).all()


def flat(value: object, path: str = "") -> dict[str, object]:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else None
    )
    if items is None:
        return {path: value}
    return {k: v for key, item in items for k, v in flat(item, f"{path}.{key}").items()}


@pytest.mark.parametrize("name", PAPER)
def test_the_improved_variant_differs_in_its_fields_and_no_other(name):
    config = PAPER[name]()
    before, after = flat(to_json(config)), flat(to_json(improved(config)))
    changed = {key.removeprefix(".") for key in before if before[key] != after[key]}
    settings = differences(config)
    assert before.keys() == after.keys()
    assert changed == {setting.partition("=")[0] for setting in settings}
    assert {"chain.prediction", "chain.schedule.zero_terminal_snr"} <= changed
    assert ("chain.model.moe.renormalise" in changed) == (config.chain.model.moe is not None)
    assert any("prompt" in key for key in changed) == (len(config.chain.tasks) > 1)
    for setting in settings:
        alone = flat(to_json(override(config, [setting])))
        assert [key for key in before if before[key] != alone[key]] == [
            f".{setting.partition('=')[0]}"
        ]
    assert differences(improved(config)) == ()


def test_the_improved_generalist_runs(tmp_path):
    config = replace(improved(shrink(PAPER["paper_generalist_8e2a"]())), init=None, surgery=False)
    assert [step.iteration for step in run(config, tmp_path / "run")] == [1, 2]


def test_hours_are_of_a_named_device_at_a_stated_share_of_its_peak():
    config = RECIPES["tiny"]()
    priced = cost(config)
    assert priced.params / 1e6 == pytest.approx(2.2, abs=0.05)
    assert priced.images == 18_000 * 32
    for device, peak in DEVICES.items():
        assert priced.hours(device, mfu=1.0) == pytest.approx(priced.flops / peak / 3600)
    with pytest.raises(InputError, match="'TPU'"):
        priced.hours("TPU")
    with pytest.raises(InputError, match="mfu"):
        priced.hours("H100", mfu=0.0)
    twice = cost(override(config, ["runtime.recompute=true"]))
    assert twice.hours("H100") == pytest.approx(priced.hours("H100") * 4 / 3)
