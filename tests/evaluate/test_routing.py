"""Routing reports: shares of routers made by hand, invariants of random ones, and what the command writes."""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lookharder.chain import Chain
from lookharder.cli import main
from lookharder.data.formats import read_image
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import Remembered
from lookharder.errors import InputError
from lookharder.evaluate.routing import RoutingReport, _Tally, routing_report
from lookharder.models.dit import DiT
from lookharder.models.moe import MoEConfig, Routing
from lookharder.predict.predictor import Predictor
from lookharder.recipes import pixel_chain
from lookharder.report.figures.routing import draw_routing, octaves, summary, write_report
from lookharder.seeding import torch_generator

TASKS = ("depth", "flow", "amodal")
WORLD = Remembered(ProceduralWorld(32, 5, count=3))
TOKENS = 4 * 4  # of a picture of 32 pixels, in patches of 2 cells of 4


def random_chain(active: int = 2) -> Chain:
    config = pixel_chain(width=32, depth=2, heads=2, resolution=32)
    moe = MoEConfig(experts=4, active=active)
    config = replace(config, model=replace(config.model, moe=moe), steps=2)
    chain = Chain.build(config, torch_generator(0))
    generator = torch_generator(1)
    with torch.no_grad():  # a fresh network answers zero; this one answers something
        for parameter in chain.network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return chain


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(random_chain(), name="random")


@pytest.fixture(scope="module")
def report(predictor) -> RoutingReport:
    return routing_report(predictor, TASKS, WORLD, data="world", steps=3, members=2)


def decided(logits: dict[str, Sequence[Sequence[float]]]) -> Predictor:
    """A model whose routers see the task alone: `logits[task][layer]`, the same for every token and time."""
    chain = random_chain()
    network, d = chain.network, 32
    with torch.no_grad():
        network.t_embedder.mlp[2].weight.zero_()
        network.t_embedder.mlp[2].bias.zero_()
        table = network.y_embedder.embedding_table.weight.zero_()
        for j, row in enumerate(range(network.config.num_classes, network.config.null_label)):
            table[row, j] = 20.0  # so condition = 20 e_j, and SiLU leaves it as it is
        for block in network.blocks:
            modulation = block.adaLN_modulation[1]
            modulation.weight.zero_()
            modulation.bias.zero_()
            modulation.bias[4 * d : 5 * d] = -1.0  # scale of the MLP: its input is the shift
            modulation.weight[3 * d : 4 * d] = torch.eye(d) / 20
            block.moe.router.weight.zero_()
        for j, task in enumerate(TASKS):
            for block, values in zip(network.blocks, logits.get(task, ()), strict=False):
                block.moe.router.weight[:, j] = torch.tensor(values)
    return Predictor(chain, name="decided")


def test_routers_made_by_hand_have_the_shares_they_were_made_for():
    depth, flow = [[3.0, 2.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0]], [[0.0, 5.0, 0.0, 5.0]] * 2
    predictor = decided({"depth": depth, "flow": flow})
    report = routing_report(predictor, ["depth", "flow"], WORLD, data="world", steps=2)
    for step in (0, 1):
        np.testing.assert_array_equal(
            report.shares("depth", step), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
        )
        np.testing.assert_array_equal(report.shares("flow", step), [[0, 0.5, 0, 0.5]] * 2)
    p = np.exp([3.0, 2, 1, 0]) / np.exp([3.0, 2, 1, 0]).sum()
    for use in report.of("depth", 1):
        np.testing.assert_allclose(use.probability, p if use.layer == 0 else p[::-1], rtol=1e-4)
        assert use.entropy == pytest.approx(math.log(2))
        assert use.relative_entropy == pytest.approx(0.5)
        assert use.imbalance == 2
        assert use.token_entropy == pytest.approx(-(p * np.log(p)).sum(), rel=1e-4)
        assert use.dropped == 0
        assert use.tokens == 3 * TOKENS


def test_one_expert_is_used_evenly():
    chain = random_chain(active=1)
    config = replace(chain.config.model, moe=MoEConfig(experts=1, active=1))
    chain = Chain.build(replace(chain.config, model=config), torch_generator(0))
    report = routing_report(Predictor(chain), ["depth"], WORLD, data="world", steps=1)
    assert {(u.share, u.entropy, u.relative_entropy, u.imbalance) for u in report.usage} == {
        ((1.0,), 0.0, 1.0, 1.0)
    }


def test_every_layer_task_and_step_once_and_sums_are_one(report):
    order = [(use.task, use.step, use.layer) for use in report.usage]
    assert order == [(t, s, layer) for t in TASKS for s in range(3) for layer in range(2)]
    assert [use.time for use in report.of("flow", 0)] == [999, 999]
    assert [report.of("flow", s)[0].time for s in range(3)] == [999, 666, 332]
    for use in report.usage:
        assert use.tokens == 3 * 2 * TOKENS, "pictures, draws"
        assert sum(use.share) == pytest.approx(1)
        assert sum(use.probability) == pytest.approx(1)
        assert max(use.share) <= 0.5, "a token picks an expert once, of two"
        assert 1 <= use.imbalance <= 2
        assert 0 <= use.relative_entropy <= 1
        assert 0 <= use.token_entropy <= math.log(4)
        assert use.dropped == 0
    shares = np.stack([report.shares(task, 0) for task in TASKS])
    assert len(np.unique(shares.reshape(6, 4), axis=0)) == 6, "the layers and tasks differ"


@pytest.mark.parametrize("told", ["step", "alpha", "sigma"])
def test_times_are_those_of_the_schedule_whatever_the_network_is_told(told):
    chain = random_chain()
    chain.denoiser = replace(chain.denoiser, told=told)
    found = routing_report(Predictor(chain, name="random"), ["depth"], WORLD, data="w", steps=4)
    times = [(use.step, use.time, use.tokens) for use in found.usage if use.layer == 0]
    assert times == [(step, 999 - 250 * step, 3 * TOKENS) for step in range(4)]


def test_reports_do_not_depend_on_batches(predictor, report):
    single = routing_report(predictor, TASKS, WORLD, data="world", steps=3, members=2, batch_size=1)
    for a, b in zip(report.usage, single.usage, strict=True):
        np.testing.assert_allclose(a.share, b.share, atol=0.011)  # one pick that was a tie
        np.testing.assert_allclose(a.probability, b.probability, atol=1e-5)
        assert a.tokens == b.tokens


def test_predictions_are_the_ordinary_ones(predictor):
    asked: list[torch.Tensor] = []
    hook = predictor.chain.network.register_forward_pre_hook(
        lambda network, given: asked.append(given[0].clone())
    )
    routing_report(predictor, ["flow"], WORLD, data="world", steps=2, members=2, seed=3)
    examples = [WORLD[i] for i in range(3)]
    predictor(
        [example.image for example in examples],
        "flow",
        second=[example.second for example in examples],
        num_inference_steps=2,
        ensemble_size=2,
        seed=3,
    )
    hook.remove()
    watched, ordinary = asked[:2], asked[2:]
    for a, b in zip(watched, ordinary, strict=True):
        assert torch.equal(a, b)
    assert predictor.chain.denoiser.network is predictor.chain.network


def test_pictures_of_several_sizes_at_a_resolution(predictor):
    worlds = [ProceduralWorld(size, 5)[0] for size in (32, 40, 32)]
    report = routing_report(predictor, ["depth"], worlds, data="three", steps=1, resolution=24)
    assert {use.tokens for use in report.usage} == {3 * 9}
    native = routing_report(predictor, ["depth"], worlds, data="three", steps=1, resolution=0)
    assert {use.tokens for use in native.usage} == {16 + 25 + 16}


def test_generation_is_a_task_like_any(predictor):
    report = routing_report(predictor, ["generation"], WORLD, data="world", steps=1)
    assert {use.tokens for use in report.usage} == {3 * TOKENS}


class Careless(DiT):
    """Sends the last of every token's picks nowhere."""

    def forward(self, x, t, y, tape=None):
        tokens = len(x) * TOKENS
        for _ in self.blocks:
            experts = torch.tensor([[1, -1]]).expand(tokens, -1)
            even = torch.full((tokens, 4), 0.25)
            tape.append(
                Routing(
                    probabilities=even, experts=experts, gates=even[:, :2], loss=torch.zeros(())
                )
            )
        return x


def test_dropped_picks_are_counted():
    config = random_chain().config.model
    tally = _Tally(Careless(config), config.moe, torch.arange(1000))
    for _ in range(2):
        tally(torch.zeros(3, config.in_channels, 8, 8), torch.full((3,), 9), torch.zeros(3).long())
    for use in tally.usage("depth"):
        assert (use.tokens, use.dropped) == (6 * TOKENS, 6 * TOKENS)
        assert use.share == (0, 1, 0, 0)
        assert use.entropy == 0 and use.imbalance == 4
        assert use.token_entropy == pytest.approx(math.log(4))


@pytest.mark.parametrize(
    ("tasks", "changes", "word"),
    [
        ([], {}, "tasks"),
        (["depth", "depth"], {}, "tasks"),
        (["colour"], {}, "colour"),
        (["depth"], {"members": 0}, "members"),
        (["depth"], {"steps": 0}, "steps"),
        (["depth"], {"batch_size": 0}, "batch_size"),
        (["depth"], {"resolution": 3}, "processing_resolution"),
    ],
)
def test_what_cannot_be_reported_is_named(predictor, tasks, changes, word):
    with pytest.raises(InputError, match=word):
        routing_report(predictor, tasks, WORLD, data="world", **changes)


def test_data_must_have_what_the_tasks_need(predictor):
    single = [replace(WORLD[0], second=None)]
    with pytest.raises(InputError, match="no `second`"):
        routing_report(predictor, ["depth", "flow"], single, data="single")
    with pytest.raises(InputError, match="empty"):
        routing_report(predictor, ["depth"], [], data="nothing")


def test_dense_models_are_refused(random_model):
    with pytest.raises(InputError, match="a model with experts"):
        routing_report(Predictor.from_pretrained(random_model), ["depth"], WORLD, data="world")


# the table and the figure


def test_colours_are_octaves_about_even():
    shares = np.array([0, 0.25 / 8, 1 / 8, 4 / 8, 0.9])
    np.testing.assert_array_equal(octaves(shares, 8), [-2, -2, 0, 2, 2])


def test_figure_shows_every_task_and_some_steps(report):
    def maps(of):
        return [axis for axis in draw_routing(of).axes if axis.get_title()]

    two = maps(report)
    shown = [(use.task, use.time) for use in report.usage if use.layer == 0]
    assert [axis.get_title() for axis in two] == [f"{task}, t = {time}" for task, time in shown]
    for axis, (task, time) in zip(two, shown, strict=True):
        uses = [use for use in report.usage if (use.task, use.time) == (task, time)]
        shares = np.array([use.share for use in uses])
        np.testing.assert_array_equal(axis.images[0].get_array(), octaves(shares, 4))
        assert axis.texts[0].get_text() == f"{100 * shares[0, 0]:.0f}"
    many = tuple(replace(u, step=s) for s in range(9) for u in report.usage if u.step == 0)
    assert len(maps(replace(report, steps=9, usage=many))) == 4 * len(TASKS), "four of the nine"
    one = replace(report, steps=1, usage=tuple(u for u in report.usage if u.step == 0))
    assert {axis.get_subplotspec().rowspan.start for axis in maps(one)} == {0}, "tasks across"


@pytest.mark.parametrize(("experts", "layers"), [(64, 2), (700, 1), (2, 60)])
def test_figures_of_odd_shapes_are_drawn(report, experts, layers, tmp_path):
    even = (1 / experts,) * experts
    usage = tuple(replace(report.usage[0], layer=i, share=even) for i in range(layers))
    odd = replace(report, tasks=("depth",), steps=1, experts=experts, layers=layers, usage=usage)
    write_report(odd, tmp_path)
    assert max(read_image(tmp_path / "routing.png").shape) < 3000


def test_without_matplotlib_the_numbers_are_written(report, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r"lookharder\[plot\]"):
        write_report(report, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["routing.json"]


def test_summary_names_the_worst(report):
    table = summary(report)
    assert [row[0] for row in table.rows] == list(TASKS)
    worst = max((u for u in report.usage if u.task == "depth"), key=lambda u: u.imbalance)
    assert table.rows[0][3].startswith(f"{worst.layer}/{int(np.argmax(worst.share))} ")
    assert all(len(row) == len(table.columns) for row in table.rows)


# the command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("moe")
    random_chain().save(place / "model", "# Random experts\n")
    return place


def test_command_writes_report_and_figure(folder, capsys):
    out = folder / "new" / "out"
    line = f"inspect {folder}/model --data procedural:2:5 --steps 2 --out {out} --device cpu"
    assert main(line.split()) == 0
    said = capsys.readouterr().out
    report = json.loads((out / "routing.json").read_text())
    assert (report["pictures"], report["steps"], report["active"]) == (2, 2, 2)
    assert report["tasks"] == list(TASKS) and len(report["usage"]) == 3 * 2 * 2
    for use in report["usage"]:
        assert sum(use["share"]) == pytest.approx(1)
    assert read_image(out / "routing.png").shape[0] == 3
    assert sorted(path.name for path in out.iterdir()) == ["routing.json", "routing.png"]
    for word in (*TASKS, "imbalance", "dropped", "routing.png"):
        assert word in said
    assert "…" not in said, "the table fits"


def test_command_takes_tasks(folder, capsys):
    out = folder / "one"
    line = f"inspect {folder}/model --data procedural:1 --task flow --task depth --out {out}"
    assert main(line.split()) == 0
    assert json.loads((out / "routing.json").read_text())["tasks"] == ["flow", "depth"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("inspect {model} --data procedural:1", ("--data, --out", "both, or neither")),
        ("inspect {model} --out {out}", ("--data, --out",)),
        ("inspect {dense} --data procedural:1 --out {out}", ("model", "experts")),
        ("inspect {model} --data nobody:1 --out {out}", ("nobody",)),
        ("inspect {model} --data procedural:1 --task colour --out {out}", ("--task", "colour")),
        ("inspect {model} --data procedural:1 --steps 1001 --out {out}", ("--steps",)),
        ("inspect {model} --resolution 7", ("--resolution", "8 to")),
        ("inspect {model} --resolution 99999", ("--resolution",)),
        ("inspect nobody", ("--model", "nobody")),
        ("inspect", ("MODEL", "got nothing")),
    ],
)
def test_bad_lines_are_one_line_and_code_2(folder, random_model, capsys, line, words):
    out = folder / "bad"
    line = line.format(model=folder / "model", dense=random_model, out=out)
    assert main(line.split()) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    for word in words:
        assert word in said.err
    assert not out.exists()
