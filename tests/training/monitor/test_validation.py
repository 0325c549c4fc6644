"""Validation says what `evaluate` says, is a function of weights and configuration, and leaves no trace in training."""

import json
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lookharder.chain import Chain
from lookharder.config import from_json, override, to_json
from lookharder.data.formats import read_image
from lookharder.data.source import open_data, open_spec
from lookharder.errors import InputError
from lookharder.evaluate.evaluation import evaluate, protocol
from lookharder.metrics.statistics import bootstrap_mean
from lookharder.predict.predictor import Predictor
from lookharder.recipes import smoke
from lookharder.seeding import torch_generator
from lookharder.training.loop import averaged, start, train
from lookharder.training.monitor.validation import (
    CELL,
    ValidationConfig,
    cut_back,
    held_out,
    ratio,
    rows_of,
    validate,
)

CONFIG = ValidationConfig(every=5, data="procedural:3", pictures=2)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Intervals, which a validation does not tell, take most of the time of a small evaluation."""
    few = partial(bootstrap_mean, resamples=1)
    monkeypatch.setattr("lookharder.evaluate.judge.bootstrap_mean", few)


@pytest.fixture(scope="module")
def chain(random_model) -> Chain:
    return Chain.load(random_model)


def files_of(folder) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if not p.is_dir()}


def test_scores_are_those_of_evaluate(chain, tmp_path):
    found = validate(chain, CONFIG, 5, tmp_path)
    data, trivial = open_spec("procedural:3", 32), {}
    for task, metrics in {
        "depth": ("abs_rel", "rmse", "delta1"),
        "flow": ("epe", "fl_all", "px1"),
        "amodal": ("iou", "boundary_f"),
    }.items():
        rules = protocol(task, "procedural", chain)
        means = evaluate(Predictor(chain), task, data, data="procedural:3", rules=rules).means
        for metric in metrics:
            assert found[f"{task}.{metric}"] == means[metric]["mean"]
        trivial |= {key: mean["mean"] for key, mean in means.items() if key.startswith("trivial.")}
    best = min(value for key, value in trivial.items() if key.endswith(".epe"))
    assert found["flow.ratio"] == pytest.approx(found["flow.epe"] / best, rel=1e-6)
    assert best <= trivial["trivial.zero.epe"] == pytest.approx(means_of_no_motion(data), rel=1e-6)
    assert rows_of(tmp_path) == [{"iteration": 5, **found}]


def means_of_no_motion(data) -> float:
    examples = [data[i] for i in range(len(data))]
    return float(np.mean([np.hypot(*e.flow)[e.flow_valid].mean() for e in examples]))


def test_ratio_is_beside_the_best_trivial_answer():
    def scores(task, **means):
        return SimpleNamespace(task=task, means={k: {"mean": v} for k, v in means.items()})

    depth = {"abs_rel": 0.2, "trivial.flat.abs_rel": 0.8, "trivial.mean_map.abs_rel": 0.4}
    assert ratio(scores("depth", **depth, **{"trivial.flat.rmse": 0.01})) == pytest.approx(0.5)
    amodal = {"iou": 0.9, "trivial.visible.iou": 0.6}
    assert ratio(scores("amodal", **amodal)) == pytest.approx(0.25)  # of 1 - IoU
    assert ratio(scores("flow", **{"epe": 0.0, "trivial.zero.epe": 3.0})) == 0
    assert ratio(scores("flow", **{"epe": 1.0, "trivial.zero.epe": 0.0})) == float("inf")


def test_it_is_a_function_of_weights_and_configuration(chain, tmp_path):
    for name, seed in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        torch.manual_seed(seed)
        validate(chain, CONFIG, 5, tmp_path / name)
    validate(chain, CONFIG, 5, tmp_path / "two")  # again: nothing is added
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert sorted(files_of(tmp_path / "one")) == ["validation.jsonl", "validation/00000005.png"]
    other = Chain.build(chain.config, torch_generator(7))
    with torch.no_grad():
        for parameter in other.network.parameters():
            parameter.add_(0.1)
    (tmp_path / "other").mkdir()
    assert validate(other, CONFIG, 5, tmp_path / "other") != validate(
        chain, CONFIG, 5, tmp_path / "one"
    )


def test_pictures_are_input_truth_and_prediction(chain, tmp_path):
    validate(chain, CONFIG, 5, tmp_path)
    page = read_image(tmp_path / "validation" / "00000005.png")
    assert page.shape == (3, 12 + 4 + 2 * (CELL + 4), 4 + 10 * (CELL + 4))
    example, zoom = open_spec("procedural:3", 32)[1], CELL // 32
    top, left = 12 + 4 + CELL + 4, 4
    cell = page[:, top : top + CELL, left : left + CELL]
    assert (cell == example.image.repeat(zoom, 1).repeat(zoom, 2)).all()
    assert len(np.unique(page[:, top:, 4 + 2 * (CELL + 4) :])) > 10  # the prediction is no blank


def test_no_pictures_where_none_are_wanted(chain, tmp_path):
    validate(chain, replace(CONFIG, pictures=0), 5, tmp_path)
    assert sorted(files_of(tmp_path)) == ["validation.jsonl"]


def test_it_changes_nothing_of_the_training(tmp_path):
    config = override(
        smoke(),
        [
            "chain.model.depth=1",
            "chain.model.hidden_size=32",
            "train.batch_size=4",
            "train.iterations=2",
            *[f"data.{t}.spec=procedural:4:1" for t in ("generation", "depth", "flow", "amodal")],
        ],
    )
    datasets = {task: open_data(data) for task, data in config.data.items()}

    def weights(watched: bool) -> list[torch.Tensor]:
        chain = Chain.build(config.chain, torch_generator(0))
        state = start(chain, config.train)
        for step in train(config.train, state, chain, datasets):
            if watched:
                before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
                shown = averaged(chain, state)
                assert shown is not None
                validate(shown, CONFIG, step.iteration, tmp_path)
                assert torch.equal(before[0], torch.get_rng_state())
                assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002
                assert chain.network.training and torch.is_grad_enabled()
        moments = [v for s in state.optimizer.state.values() for v in s.values()]
        return [*chain.network.parameters(), *state.ema.state().values(), *moments]

    pairs = list(zip(weights(False), weights(True), strict=True))
    assert pairs and all(torch.equal(a, b) for a, b in pairs)
    assert [row["iteration"] for row in rows_of(tmp_path)] == [1, 2]


def test_a_resumed_run_ends_with_the_same_bytes(chain, tmp_path):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        for iteration in (5, 10):
            validate(chain, CONFIG, iteration, tmp_path / name)
    (tmp_path / "killed" / "validation" / ".00000010.5c1f.png").write_bytes(b"half")
    cut_back(tmp_path / "killed", 7)  # killed after 10, saved at 7
    assert sorted(files_of(tmp_path / "killed")) == ["validation.jsonl", "validation/00000005.png"]
    cut_back(tmp_path / "killed", 7)
    validate(chain, CONFIG, 10, tmp_path / "killed")
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    cut_back(tmp_path / "never", 7)
    assert not (tmp_path / "never").exists()


def test_tasks_and_data_are_chosen(chain, tmp_path):
    config = replace(CONFIG, specs={"flow": "procedural:2:9"}, scenes=1)
    sets = held_out(chain, config, ("generation", "flow"))
    assert list(sets) == ["flow"] and len(sets["flow"]) == 1
    assert (sets["flow"][0].image == open_spec("procedural:2:9", 32)[0].image).all()
    found = validate(chain, config, 1, tmp_path, ("generation", "flow"))
    assert {key.partition(".")[0] for key in found} == {"flow"}
    with pytest.raises(InputError, match=r"validation.every: got 5 for \['generation'\]"):
        held_out(chain, config, ("generation",))
    with pytest.raises(InputError, match="nobody"):
        held_out(chain, replace(config, data="nobody:x"), ("depth",))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"every": -1}, "validation.every"),
        ({"scenes": 0}, "validation.scenes"),
        ({"pictures": -1}, "validation.pictures"),
        ({"steps": 0}, "validation.steps"),
        ({"specs": {"generation": "procedural"}}, "validation.specs"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        replace(CONFIG, **change)


def test_a_configuration_survives_json():
    config = replace(CONFIG, specs={"flow": "procedural:2:9"}, steps=2)
    assert from_json(ValidationConfig, json.loads(json.dumps(to_json(config)))) == config
