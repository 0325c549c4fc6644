"""The loop: order, proportions, learning, and independence from everything but (state, seed, iteration)."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lookharder.chain import Chain
from lookharder.config import override
from lookharder.data.example import to_uint8
from lookharder.data.photometric import Photometric
from lookharder.data.source import open_data
from lookharder.errors import InputError
from lookharder.recipes import smoke
from lookharder.seeding import torch_generator
from lookharder.training import checkpoint
from lookharder.training.batches import read
from lookharder.training.loop import TrainConfig, apportion, start, train

SMALL = override(
    smoke(),
    [
        "chain.model.depth=1",
        "chain.model.hidden_size=32",
        "train.batch_size=6",
        "train.iterations=6",
        *[f"data.{task}.spec=procedural:4:1" for task in ("generation", "depth", "flow", "amodal")],
    ],
)
DATA = {task: open_data(SMALL.data["depth"]) for task in SMALL.train.mix}


def fresh():
    chain = Chain.build(SMALL.chain, torch_generator(0))
    return chain, start(chain, SMALL.train)


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 10), min_size=1),
    st.integers(1, 300),
)
def test_apportion_sums_and_stays_within_one(mix, total):
    counts = apportion(mix, total)
    assert sum(counts.values()) == total
    for name, share in mix.items():
        assert abs(counts.get(name, 0) - share * total / sum(mix.values())) < 1


def test_steps_count_finished_iterations():
    chain, state = fresh()
    steps = list(train(SMALL.train, state, chain, DATA))
    assert [step.iteration for step in steps] == [1, 2, 3, 4, 5, 6]
    assert all(set(step.losses) == set(SMALL.train.mix) for step in steps)
    assert state.iteration == 6


def test_a_task_may_have_several_sources_of_other_sizes():
    config = override(
        SMALL,
        [
            'train.mix={"depth/near": 1, "depth/far": 2, "flow": 1}',
            'train.weights={"depth/far": 0.5}',
            "train.batch_size=4",
            "train.loss=edges",
            'train.camera={"noise": 0.1}',
            'data={"depth/near": {"spec": "procedural:4:1", "size": 32},'
            ' "depth/far": {"spec": "procedural:4:2?only=depth&crop=16x24", "size": 32},'
            ' "flow": {"spec": "procedural:4:1", "size": 32}}',
        ],
    )
    data = {name: open_data(config.data[name]) for name in config.train.mix}
    chain = Chain.build(config.chain, torch_generator(0))
    steps = list(train(config.train, start(chain, config.train), chain, data))
    assert set(steps[0].losses) == {"depth/near", "depth/far", "flow"}
    near, far, flow = (steps[0].losses[name] for name in ("depth/near", "depth/far", "flow"))
    assert steps[0].loss == pytest.approx((near + 2 * 0.5 * far + flow) / 4, rel=1e-5)
    with pytest.raises(InputError, match=r"data: got nothing for \['depth/left'\]"):
        override(config, ['train.mix={"depth/left": 1}', "train.weights={}"])
    with pytest.raises(InputError, match=r"train.mix: got \['pose'\]"):
        override(config, ['train.mix={"pose/near": 1}', "train.weights={}"])


def test_stopping_anywhere_changes_nothing():
    whole, state = fresh()
    losses = [step.loss for step in train(SMALL.train, state, whole, DATA)]
    parts, state = fresh()
    again = []
    for stop in (1, 4, 6):  # the generator is dropped and made anew
        for step in train(SMALL.train, state, parts, DATA):
            again.append(step.loss)
            if step.iteration == stop:
                break
    assert again == losses
    for a, b in zip(whole.network.parameters(), parts.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_it_learns_one_picture_by_heart():
    config = override(
        SMALL,
        [
            "train.iterations=150",
            'train.mix={"depth":1}',
            "train.augment=false",
            "train.optim.lr=0.003",
            "data.depth.spec=procedural:1:1",
        ],
    )
    chain = Chain.build(config.chain, torch_generator(0))
    steps = list(
        train(
            config.train,
            start(chain, config.train),
            chain,
            {"depth": open_data(config.data["depth"])},
        )
    )
    first, last = (sum(s.loss for s in part) / 10 for part in (steps[:10], steps[-10:]))
    assert last < 0.15 * first


def test_weights_scale_the_loss_of_a_task():
    chain, state = fresh()
    plain = next(train(SMALL.train, state, chain, DATA))
    chain, state = fresh()
    weighted = next(train(override(SMALL, ['train.weights={"flow":3}']).train, state, chain, DATA))
    assert weighted.losses == plain.losses
    share = apportion(SMALL.train.mix, 6)["flow"] / 6
    assert weighted.loss == pytest.approx(plain.loss + 2 * share * plain.losses["flow"], rel=1e-5)


def test_time_shift_moves_mass_to_noise():
    def mean_time(shift):
        u = torch.rand(10000, generator=torch_generator(3), dtype=torch.float64)
        return (shift * u / (1 + (shift - 1) * u)).mean()

    assert mean_time(1.0) == pytest.approx(0.5, abs=0.01)
    # E[s u / (1 + (s - 1) u)] = s (s - 1 - ln s) / (s - 1)^2
    assert mean_time(4.0) == pytest.approx(4 * (3 - 1.3863) / 9, abs=0.01)


def snapshot(chain, state):
    tensors = checkpoint.pack(chain.network, state.ema, state.optimizer)
    return {name: tensor.clone() for name, tensor in tensors.items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


class Poisoned:
    """Scenes, the depths of whose first are no numbers."""

    def __len__(self):
        return len(DATA["depth"])

    def __getitem__(self, index):
        example = DATA["depth"][index]
        return replace(example, depth=example.depth * np.float32("nan")) if index == 0 else example


def test_an_update_that_is_not_finite_is_left_out_whole():
    chain, state = fresh()
    before, taken = snapshot(chain, state), []
    for step in train(SMALL.train, state, chain, DATA | {"depth": Poisoned()}):
        after = snapshot(chain, state)
        assert same(before, after) == bool(step.skipped)
        assert set(step.skipped) <= {"depth/procedural/1/0"}
        assert math.isfinite(step.loss) == (not step.skipped)
        before = after
        taken.append(not step.skipped)
    assert state.iteration == len(taken) == 6
    # two depths an iteration, four scenes: the first is in every other iteration
    assert sum(taken) == 3


def test_where_only_the_gradient_overflows_all_are_named():
    config = override(SMALL, ["train.iterations=1", 'train.weights={"depth":1e30}']).train
    chain, state = fresh()
    with torch.no_grad():  # an open gate
        chain.network.final_layer.linear.weight.fill_(0.1)
    before = snapshot(chain, state)
    (step,) = train(config, state, chain, DATA)
    assert math.isfinite(step.loss) and not math.isfinite(step.grad_norm)
    assert {name.partition("/")[0] for name in step.skipped} == set(SMALL.train.mix)
    assert same(before, snapshot(chain, state))


def test_excluded_iterations_pass_without_a_trace():
    chain, state = fresh()
    state.excluded = [(2, 3), (6, 9)]
    steps = {step.iteration: step for step in train(SMALL.train, state, chain, DATA)}
    assert [i for i, step in steps.items() if step.excluded] == [2, 3, 6]
    assert all(steps[i].loss == 0 and steps[i].images == 0 for i in (2, 3, 6))
    other, state = fresh()
    losses = {}
    for begin, end in ((0, 1), (3, 5)):
        state.iteration = begin
        for step in train(SMALL.train, state, other, DATA):
            losses[step.iteration] = step.loss
            if step.iteration == end:
                break
    assert losses == {i: step.loss for i, step in steps.items() if not step.excluded}
    for a, b in zip(chain.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "bad",
    [
        {"iterations": 0},
        {"batch_size": 0},
        {"mix": {}},
        {"mix": {"depth": -1.0}},
        {"time_shift": 0.0},
        {"weights": {"flow": 1.0}},
    ],
)
def test_bad_configurations(bad):
    good = {"iterations": 1, "batch_size": 1, "mix": {"depth": 1.0}}
    with pytest.raises(InputError):
        TrainConfig(**(good | bad))


def test_a_picture_that_is_the_target_keeps_its_colours():
    chain, _ = fresh()
    hand = {"generation": range(8), "depth": range(8)}
    kinds = {
        task: {
            example.image[:, 0, 0].tobytes() for example in map(DATA[task].__getitem__, range(4))
        }
        | {example.image[:, 0, -1].tobytes() for example in map(DATA[task].__getitem__, range(4))}
        for task in hand
    }

    def kept(config: TrainConfig) -> dict[str, float]:
        """Share of pictures whose first pixel is a corner of a picture of the set."""
        found = read(config, chain, DATA, hand)
        shares = {}
        for task, examples in found.items():
            corners = to_uint8(examples.batch.image[:, :, 0, 0]).numpy()
            shares[task] = np.mean([corner.tobytes() in kinds[task] for corner in corners])
        return shares

    plain = kept(SMALL.train)
    assert plain["generation"] == 1 and plain["depth"] < 0.7
    assert kept(replace(SMALL.train, recolour=False)) == {"generation": 1, "depth": 1}
    assert kept(replace(SMALL.train, recolour=True))["generation"] < 0.7
    with pytest.raises(InputError, match="camera"):
        replace(SMALL.train, recolour=False, camera=Photometric())


def test_a_share_of_the_pairs_is_shown_as_a_further_look_shows_it():
    chain, _ = fresh()
    hand = {"depth": range(8), "flow": range(8)}
    plain, some, every = (
        read(replace(SMALL.train, further_looks=share), chain, DATA, hand)
        for share in (0.0, 0.5, 1.0)
    )
    moved = [
        (found["flow"].batch.need("flow") != plain["flow"].batch.need("flow")).flatten(1).any(1)
        for found in (some, every)
    ]
    assert 0 < moved[0].sum() < 8 and moved[1].all()
    for field in ("image", "depth"):
        assert torch.equal(plain["depth"].batch.need(field), every["depth"].batch.need(field))
    alone = read(replace(SMALL.train, further_looks=0.5), chain, DATA, {"flow": [5]})["flow"].batch
    assert torch.equal(alone.need("second")[0], some["flow"].batch.need("second")[5])
    with pytest.raises(InputError, match="further_looks"):
        replace(SMALL.train, further_looks=1.5)
