"""Inspections: exact costs, the label table against the chain's own labels, memory against what is measured."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from lookharder.autoencoder import Pixel, Tiny
from lookharder.chain import Chain
from lookharder.cli import main
from lookharder.config import to_json
from lookharder.data.example import collate
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import Remembered
from lookharder.errors import InputError
from lookharder.evaluate.inspection import inspect, label_rows, tables
from lookharder.models.config import DiTConfig
from lookharder.models.dit import DiT
from lookharder.models.flops import breakdown, count
from lookharder.models.moe import MoEConfig
from lookharder.predict.inputs import resize
from lookharder.predict.memory import forward, peak_memory
from lookharder.predict.predictor import Options, Predictor
from lookharder.recipes import pixel_chain
from lookharder.seeding import torch_generator
from lookharder.tasks.flow import Flow

WORLD = Remembered(ProceduralWorld(32, 5, count=1))
SMALL = MoEConfig(experts=4, active=2, shared=1)


def chain_of(
    codec: Pixel | Tiny | None = None, side: int = 32, width: int = 32, moe: MoEConfig | None = None
) -> Chain:
    codec = codec or Pixel()
    config = pixel_chain(width=width, depth=2, heads=2, resolution=side)
    model = replace(
        config.model,
        input_size=side // codec.factor,
        in_channels=3 * codec.channels,
        out_channels=codec.channels,
        moe=moe,
    )
    config = replace(config, model=model, autoencoder=codec.config(), steps=2, members=3)
    return Chain.build(config, torch_generator(0))


@pytest.mark.parametrize("moe", [None, SMALL])
@pytest.mark.parametrize(("codec", "cells"), [(Pixel(), 12), (Tiny.load(), 6)])
def test_costs_are_those_of_the_closed_forms(codec, cells, moe):
    chain = chain_of(codec, moe=moe)
    found = inspect(chain, 50)
    cost = count(chain.config.model, cells, cells)
    assert (found.side, found.latent) == (48, (codec.channels, cells, cells))
    assert found.tokens == cells**2 // 4
    assert found.network == cost
    assert found.groups == breakdown(chain.config.model, cells, cells)
    assert found.network.params == sum(v.numel() for v in chain.network.parameters())
    assert (found.encode_macs, found.decode_macs) == codec.macs(48, 48)
    assert to_json(found)["memory"]["weights"] == found.memory.weights


@pytest.mark.parametrize("codec", [Pixel(), Tiny.load()])
def test_a_prediction_costs_what_the_predictor_says(codec):
    chain = chain_of(codec)
    batch = collate([WORLD[0]])
    for task in ("depth", "flow", "amodal"):
        options = Options(num_inference_steps=2, ensemble_size=3)
        (answer,) = Predictor(chain).predict(task, batch, options)
        assert inspect(chain).prediction_macs[task] == answer.macs
    assert inspect(chain, steps=1, members=1).prediction_macs["depth"] < answer.macs


def test_label_rows_are_the_chains():
    config = pixel_chain(width=32, depth=1, heads=2, resolution=32)
    tasks = tuple(Flow(layout="split") if task.name == "flow" else task for task in config.tasks)
    routes = (1, 2, 2, 3)
    config = replace(config, tasks=tasks, model=replace(config.model, routes=routes))
    chain = Chain.build(config, torch_generator(0))
    rows = label_rows(config)
    assert [row.meaning for row in rows] == [
        "classes of images",
        "depth",
        "flow, field 1 of 2",
        "flow, field 2 of 2",
        "amodal",
        "null: no label",
    ]
    assert [row.embedding for row in rows] == [0, *routes, 0]
    assert [row.first for row in rows[1:]] == [row.last + 1 for row in rows[:-1]]
    assert rows[-1].last == config.model.null_label
    batch = collate([WORLD[0]])
    for name in ("depth", "flow", "amodal"):
        own = [row.first for row in rows if row.meaning.startswith(name)]
        assert chain.labels(chain.task(name), batch).tolist() == [own]
    no_classes = replace(config, tasks=tasks[1:], model=replace(config.model, num_classes=0))
    assert [row.first for row in label_rows(no_classes)] == [0, 1, 2, 3, 4]


# memory: the estimate against torch's own account of every allocation


def measured(run: Callable[[], object]) -> int:
    """The most bytes that torch's allocator has out at once, beyond those at the start."""
    run()  # what is made once and kept
    activities = [ProfilerActivity.CPU]
    with profile(activities=activities, profile_memory=True, acc_events=True) as account:
        run()
    now = most = 0
    events = account.profiler.kineto_results.events()
    for event in sorted(events, key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


def dit(**changes) -> DiTConfig:
    values = {
        "input_size": 32,
        "patch_size": 2,
        "in_channels": 12,
        "out_channels": 4,
        "hidden_size": 64,
        "depth": 2,
        "num_heads": 2,
        "num_classes": 2,
        "learn_sigma": False,
    }
    return DiTConfig(**(values | changes))


@pytest.mark.parametrize(
    "config",
    [
        dit(),
        dit(input_size=8, in_channels=144, routes=(1, 2)),
        dit(moe=SMALL),
        dit(moe=replace(SMALL, shared=12)),
        dit(moe=replace(SMALL, expert="gelu")),
        dit(moe=replace(SMALL, backend="padded_bmm")),
        dit(moe=replace(SMALL, expert="gelu", backend="padded_bmm")),
    ],
)
def test_memory_of_the_network_within_two_percent(config):
    network, side = DiT(config).eval(), config.input_size
    x, t, y = torch.zeros(1, config.in_channels, side, side), torch.tensor([5]), torch.tensor([1])
    with torch.inference_mode():
        assert forward(config, side, side) == pytest.approx(
            measured(lambda: network(x, t, y)), rel=0.02
        )


@pytest.mark.parametrize("qk_norm", [False, True])
def test_memory_of_attention_but_for_its_kernels_buffers(qk_norm):
    config = dit(qk_norm=qk_norm, mlp_ratio=1.0)
    network = DiT(config).eval()
    x, t, y = torch.zeros(1, 12, 32, 32), torch.tensor([5]), torch.tensor([1])
    with torch.inference_mode():
        most = measured(lambda: network(x, t, y))
    assert forward(config, 32, 32) <= most <= forward(config, 32, 32) + 80_000


def test_memory_of_the_loop_is_a_bound():
    config = dit(moe=replace(SMALL, backend="loop"))
    network = DiT(config).eval()
    x, t, y = torch.zeros(1, 12, 32, 32), torch.tensor([5]), torch.tensor([1])
    with torch.inference_mode():
        most = measured(lambda: network(x, t, y))
    assert most <= forward(config, 32, 32) <= 2 * most


@pytest.mark.parametrize(("steps", "moe"), [(1, None), (2, SMALL), (3, None), (5, SMALL)])
def test_memory_of_a_prediction_within_a_twentieth(steps, moe):
    chain = chain_of(side=64, moe=moe)
    batch = resize(collate([WORLD[0]]), 64, 64)
    options = Options(num_inference_steps=steps, ensemble_size=1)
    most = measured(lambda: next(Predictor(chain).predict("flow", batch, options)))
    assert peak_memory(chain, (64, 64), steps).activations == pytest.approx(most, rel=0.05)


def test_memory_with_convolutions_within_a_half():
    chain = chain_of(Tiny.load(), side=128)
    batch = resize(collate([WORLD[0]]), 128, 128)
    options = Options(num_inference_steps=1, ensemble_size=1)
    most = measured(lambda: next(Predictor(chain).predict("depth", batch, options)))
    memory = peak_memory(chain, (128, 128), 1)
    assert memory.activations == memory.encode
    assert most / 1.5 <= memory.activations <= most * 1.05


def test_weights_are_counted_to_the_byte():
    chain = chain_of(Tiny.load())
    codec = chain.autoencoder.state_dict().values()
    tensors = [*chain.network.parameters(), *codec]
    memory = inspect(chain).memory
    assert memory.weights == sum(v.numel() * v.element_size() for v in tensors)
    assert memory.peak == memory.weights + max(memory.encode, memory.network, memory.decode)
    assert inspect(chain, 256).memory.activations > 40 * memory.activations


# the table and the command


def test_every_row_has_every_column():
    for moe in (None, SMALL):
        for table in tables(inspect(chain_of(moe=moe))).values():
            assert {len(row) for row in table.rows} == {len(table.columns)}


def test_too_small_a_resolution_is_refused():
    with pytest.raises(InputError, match="resolution: got 7, allowed: 8 or more"):
        inspect(chain_of(), 7)


def test_command_prints_exact_numbers(capsys):
    assert main(["inspect", "tiny", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    config = Predictor.from_pretrained("tiny").chain.config
    cost = count(config.model, 16, 16)
    for number in (cost.params, cost.active_params, cost.macs):
        assert f"{number:,}" in said
    for group in breakdown(config.model, 16, 16):
        assert group in said
    for word in (
        f"{config.model.depth}, width {config.model.hidden_size}",
        "none",
        "scaled-linear, 1000 steps",
        "64 x 64",
        "low 0.02",
        "peak",
    ):
        assert word in said
    assert "…" not in said, "the tables fit"


def test_command_at_a_resolution_with_experts(tmp_path, capsys):
    chain_of(moe=SMALL).save(tmp_path / "model", "# Random\n")
    line = f"inspect {tmp_path}/model --resolution 64 --steps 4 --members 2"
    assert main(line.split()) == 0
    said = capsys.readouterr().out
    config = chain_of(moe=SMALL).config.model
    assert "4, 2 active, swiglu, shared width 1 D" in said
    assert f"{count(config, 16, 16).active_params:,}" in said
    assert "depth, steps 4, members 2" in said and f"{8 * count(config, 16, 16).macs:,}" in said
