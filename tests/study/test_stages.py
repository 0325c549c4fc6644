"""Stages on a network of two blocks and a handful of scenes: what they leave, report and resume."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lookharder.chain import Chain
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import Remembered
from lookharder.evaluate.held_out import validation_loss
from lookharder.metrics.scores import forecast_rule
from lookharder.models.flops import count
from lookharder.recipes import pixel_chain
from lookharder.seeding import torch_generator
from lookharder.study import stages
from lookharder.study.benches import NanoBench
from lookharder.study.nano import recipe
from lookharder.study.presets import MICRO
from lookharder.study.price import price
from lookharder.study.queue.ledger import Ledger
from lookharder.study.queue.worker import Stopped, drain
from lookharder.study.stages import STAGES


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory):
    """A generator, a depth model made of it, with experts, trained on; loss and scores of the last."""
    ledger = Ledger(tmp_path_factory.mktemp("study"))
    bench = NanoBench("toy", replace(MICRO, scenes=2, held_out=2, levels=2))
    before = bench.pretrained("n1", 0, 2)
    dense = bench.finetuned("n1", 0, before, iterations=3)
    sparse = bench.upcycled(dense, 2, 1, 0)
    model = bench.finetuned("n1", 0, sparse, iterations=1, own_chain=False, mix={"flow": 1.0})
    bench.loss(model, "figure 3", {"size": "n1"}, 0, "depth")
    bench.score(model, "figure 8", {"size": "n1"}, 0, steps=2, spacing="leading")
    bench.forecast(dense, "training noise", {"size": "n1"}, 0, 2)
    bench.forecast(dense, "training noise", {"size": "n1"}, 0, 1, "errors")
    jobs = bench.study("?").jobs
    for job in jobs:
        ledger.plan(job)
    drain(ledger, list(jobs.jobs), STAGES)
    assert [ledger.error(name) for name in jobs.jobs] == [None] * len(jobs)
    return ledger, jobs, [before, dense, sparse, model]


def test_what_was_spent_adds_up_and_is_what_was_forecast(done):
    ledger, jobs, lineage = done
    network = recipe(lineage[0].config).chain.model
    forward = count(network, 16, 16).macs
    results = [ledger.result(job.hash) for job in lineage]
    for result, images in zip(results[:3], (64, 64 + 96, 64 + 96), strict=True):
        assert result["train_images"] == images
        assert result["train_macs"] == 3 * forward * images
        # the paper's axes: one forward, 2 FLOPs, no products between the 64 tokens
        assert result["train_macs_paper"] == 2 * (forward - 2 * 2 * 64**2 * 16) * images
    spent = [price(job, jobs.jobs).macs for job in lineage]
    assert sum(spent) == pytest.approx(results[3]["train_macs"], rel=1e-12)
    *_, loss, score, _, _ = jobs
    assert score.cost == 2 * 2 * ledger.result(score.hash)["inference_macs"]
    for measured in (loss, score):
        result = ledger.result(measured.hash)
        assert result["params"] == results[2]["params"] > results[1]["params"]
        for metric in result["metrics"].values():
            assert len(metric["per_image"]) == 2
            assert metric["low"] <= metric["value"] + 1e-12
    assert set(ledger.result(score.hash)["metrics"]) == {"abs_rel", "delta1_error"}


def test_forecasts_are_scored_and_say_what_they_cost(done):
    ledger, jobs, _ = done
    *_, drawn, rival = jobs
    results = [ledger.result(job.hash) for job in (drawn, rival)]
    assert drawn.cost == 2 * 2 * results[0]["inference_macs"]  # FLOPs of two scenes
    for result in results:
        assert tuple(result["metrics"]) == forecast_rule("depth").studied
        for name, metric in result["metrics"].items():
            assert metric["low"] <= metric["value"] <= metric["high"], name
            assert metric["images"] == 2
        assert result["metrics"]["spread"]["per_image"] is None
    assert results[0]["inference_macs"] == 16 * results[1]["inference_macs"]  # 8 draws of 2 steps
    network, noise = (result["metrics"]["crps"]["per_image"] for result in results)
    assert len(network) == 2 and network != noise


def test_options_of_an_evaluation_reach_the_sampler(done):
    ledger, jobs, (_, _, _, model) = done
    *_, score, _, _ = jobs
    leading = ledger.result(score.hash)["metrics"]["abs_rel"]["per_image"]
    config = {**score.config, "spacing": "trailing"}
    trailing = STAGES["evaluate"](ledger.folder("none"), config, [ledger.folder(model.hash)])
    assert trailing["metrics"]["abs_rel"]["per_image"] != leading


def test_a_training_that_is_done_is_not_done_again(done, monkeypatch):
    ledger, _, (before, dense, _, _) = done
    monkeypatch.setattr(stages, "run", None)
    folders = [ledger.folder(before.hash)]
    again = STAGES["train"](ledger.folder(dense.hash), dense.config, folders)
    first = ledger.result(dense.hash)
    assert {**first, "seconds": 0} == {**again, "seconds": 0}


def test_a_training_that_is_stopped_goes_on(done, monkeypatch, tmp_path):
    ledger, _, (before, *_) = done

    def stopped(config, out):
        yield from ()

    with monkeypatch.context() as patch:
        patch.setattr(stages, "run", stopped)
        with pytest.raises(Stopped):
            STAGES["train"](tmp_path, before.config, [])
    # another code's unfinished run is begun anew
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "config.json").write_text(json.dumps({"name": "older"}))
    (tmp_path / "run" / "left").write_text("")
    result = STAGES["train"](tmp_path, before.config, [])
    assert result["train_loss"] == ledger.result(before.hash)["train_loss"]
    assert not (tmp_path / "run" / "left").exists()


def test_weights_move_into_the_recipes_own_system(done, tmp_path):
    """Another schedule and resolution than those of the generator; not a weight is lost or made up."""
    ledger, _, (before, *_) = done
    arguments = {**before.config["arguments"], "mix": {"depth": 1.0}, "iterations": 1}
    arguments |= {"resolution": 48, "schedule": "cosine", "lr": 1e-12}
    config = {"recipe": "nano", "arguments": arguments, "own_chain": True}
    STAGES["train"](tmp_path, config, [ledger.folder(before.hash)])
    made, found = recipe(config).chain, Chain.load(tmp_path / "model")
    assert found.config == made and made.resolution == 48 and made.schedule.name == "cosine"
    started = Chain.load(ledger.folder(before.hash) / "model").network.state_dict()
    for name, value in found.network.state_dict().items():
        torch.testing.assert_close(value, started[name], rtol=1e-6, atol=1e-7, msg=name)


def test_the_loss_of_a_network_that_says_nothing():
    """It predicts x0 = 0, so at every noise level its loss is the mean square of the target."""
    chain = Chain.build(pixel_chain(width=32, depth=1, heads=2, resolution=32), torch_generator(0))
    world = Remembered(ProceduralWorld(32, 7, count=3))
    loss = validation_loss(chain, "generation", world, 4, seed=0, batch=2)
    pictures = [torch.from_numpy(world[i].image).double() / 127.5 - 1 for i in range(3)]
    for row, picture in zip(loss, pictures, strict=True):
        torch.testing.assert_close(row, picture.square().mean().expand(4), rtol=1e-5, atol=0)


def test_the_noise_of_the_loss_is_the_same_for_every_model_and_batch(random_model: Path):
    chain, world = Chain.load(random_model), Remembered(ProceduralWorld(32, 7, count=3))
    one = validation_loss(chain, "depth", world, 2, seed=0, batch=1)
    all_ = validation_loss(chain, "depth", world, 2, seed=0, batch=3)
    torch.testing.assert_close(one, all_, rtol=1e-5, atol=1e-6)
    assert not torch.equal(validation_loss(chain, "depth", world, 2, seed=1), all_)
    assert (one[:, 0] != one[:, 1]).all()


def test_the_last_losses_are_those_of_iterations_that_have_one(tmp_path):
    rows = [{"iteration": i, "loss": 1.0} for i in range(17)]
    rows += [{"iteration": 17, "loss": 3.0}, {"iteration": 18, "loss": None}]
    rows += [{"iteration": 19, "loss": 0.0, "excluded": True}]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert stages._last_losses(path) == 3.0
    path.write_text(json.dumps(rows[-1]) + "\n")
    assert stages._last_losses(path) is None
