"""The chain, with a small random network: shapes, units, sizes, and independence from batching."""

import inspect
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from lookharder import Predictor
from lookharder.chain import Chain
from lookharder.data.example import collate
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import Remembered
from lookharder.errors import InputError
from lookharder.files import say_once
from lookharder.models import flops
from lookharder.models.flops import count
from lookharder.predict.effort import StopRule
from lookharder.predict.predictor import Options

WORLD = Remembered(ProceduralWorld(32, 5, count=8))


@pytest.fixture(scope="module")
def predictor(random_model) -> Predictor:
    return Predictor(Chain.load(random_model), name="random")


def pictures(count: int, height: int = 32, width: int = 32) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (3, height, width), np.uint8) for _ in range(count)]


@pytest.mark.parametrize(
    ("task", "extra", "channels", "kind"),
    [
        ("depth", {}, 1, np.float32),
        ("flow", {"second": "image"}, 2, np.float32),
        ("amodal", {"mask": "mask"}, 1, np.bool_),
    ],
)
def test_outputs(predictor, task, extra, channels, kind):
    image, other = pictures(2, 40, 56)
    values = {"image": other, "mask": np.arange(40 * 56).reshape(40, 56) < 700}
    result = predictor(
        image,
        task,
        ensemble_size=3,
        num_inference_steps=2,
        output_uncertainty=True,
        **{key: values[value] for key, value in extra.items()},
    )
    assert result.prediction.shape == (1, 40, 56, channels)
    assert result.prediction.dtype == kind
    assert result.uncertainty.shape == (1, 40, 56, 1)
    assert result.painting.shape == (1, 40, 56, 3)
    assert result.painting.dtype == np.uint8
    assert result.resolution == (24, 32), "longest edge 32, sides multiples of 8"
    assert (result.steps, result.members) == (2, 3)
    square = predictor(image, task, fit="square", **{key: values[v] for key, v in extra.items()})
    assert (square.resolution, square.prediction.shape) == ((32, 32), (1, 40, 56, channels))
    cost = count(predictor.chain.config.model, 24 // 4, 32 // 4).macs
    assert result.macs == 3 * 2 * cost


def test_tensor_output_has_channels_second(predictor):
    result = predictor(pictures(2), "depth", output_type="pt")
    assert result.prediction.shape == (2, 1, 32, 32)


def test_inputs_of_every_kind_are_one_picture(predictor):
    array = pictures(1)[0]
    hwc = np.moveaxis(array, 0, -1)
    answers = [
        predictor(value).prediction
        for value in (array, hwc, torch.from_numpy(array), Image.fromarray(hwc), [array])
    ]
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])


def test_an_answer_does_not_depend_on_its_neighbours(predictor):
    images = pictures(3)
    options = {"ensemble_size": 2, "num_inference_steps": 2, "seed": 7}
    together = predictor(images, **options).prediction
    backwards = predictor(images[::-1], **options, batch_size=1).prediction
    alone = np.concatenate([predictor(image, **options).prediction for image in images])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, backwards[::-1])


def test_seeds_differ_and_repeat(predictor):
    image = pictures(1)[0]
    one, again, other = (predictor(image, seed=seed).prediction for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_generator_advances(predictor):
    image, generator = pictures(1)[0], torch.Generator().manual_seed(3)
    first, second = (predictor(image, generator=generator).prediction for _ in range(2))
    repeat = predictor(image, generator=torch.Generator().manual_seed(3)).prediction
    np.testing.assert_array_equal(first, repeat)
    assert not np.array_equal(first, second)


def test_the_condition_is_encoded_once_whatever_the_members(predictor, monkeypatch):
    calls = []
    encode = type(predictor.chain.autoencoder).encode
    monkeypatch.setattr(
        type(predictor.chain.autoencoder),
        "encode",
        lambda self, images: calls.append(len(images)) or encode(self, images),
    )
    predictor(pictures(2), ensemble_size=5, num_inference_steps=3)
    assert calls == [2 * 2], "two source images of two pictures"


def test_one_step_starts_from_pure_noise(predictor, monkeypatch):
    times = []
    network = predictor.chain.denoiser.network
    monkeypatch.setattr(
        network, "forward", lambda x, t, y, f=network.forward: times.append(t) or f(x, t, y)
    )
    predictor(pictures(1), num_inference_steps=1)
    assert [t.tolist() for t in times] == [[999]]


def test_batches_of_the_world_are_predicted_as_images_are(predictor):
    examples = [WORLD[0], WORLD[1]]
    asked = {"num_inference_steps": 1, "ensemble_size": 2, "output_uncertainty": True}
    (result,) = predictor.predict("flow", collate(examples), Options(output_type="pt", **asked))
    assert result.prediction.shape == (2, 2, 32, 32)
    assert result.uncertainty.shape == (2, 1, 32, 32)
    images, seconds = [e.image for e in examples], [e.second for e in examples]
    called = predictor(images, "flow", second=seconds, **asked)
    np.testing.assert_array_equal(called.prediction, result.prediction.permute(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("by", "every"), [("member", 1), ("member", 3), ("member", None), ("step", 1)]
)
def test_a_stream_ends_where_a_call_does(predictor, by, every):
    options = {"ensemble_size": 5, "num_inference_steps": 3, "output_uncertainty": True}
    answers = list(predictor.stream(pictures(2), by=by, every=every, **options))
    called = predictor(pictures(2), **options)
    np.testing.assert_array_equal(answers[-1].prediction, called.prediction)
    np.testing.assert_array_equal(answers[-1].uncertainty, called.uncertainty)
    assert answers[-1].macs == called.macs
    draws = {1: [1, 2, 3, 4, 5], 3: [3, 5], None: [5]}[every] if by == "member" else [5] * 3
    assert [answer.members for answer in answers] == draws
    assert all(a.macs < b.macs for a, b in pairwise(answers))


def test_what_a_stream_gave_stays_as_it_was(predictor):
    first = next(kept := predictor.stream(pictures(1), ensemble_size=4))
    before = first.prediction.copy()
    rest = list(kept)
    np.testing.assert_array_equal(first.prediction, before)
    assert not np.array_equal(rest[-1].prediction, before)


def test_an_easy_picture_stops_early_and_costs_nothing_more(predictor):
    images, options = pictures(2), {"ensemble_size": 8, "output_uncertainty": True}
    after_two = next(predictor.stream(images, every=2, **options))
    easy, hard = np.argsort(after_two.doubt)
    rule = StopRule(doubt=float(np.mean(after_two.doubt)), gain=1e-9)
    result = predictor(images, until=rule, **options)
    assert result.member_counts[easy] == 2 < result.member_counts[hard]
    np.testing.assert_array_equal(result.prediction[easy], after_two.prediction[easy])
    alone = predictor(images[hard], **options | {"ensemble_size": result.member_counts[hard]})
    np.testing.assert_array_equal(result.prediction[hard], alone.prediction[0])
    assert result.macs == sum(result.member_counts) * after_two.macs // 4, (
        "MACs of members that were sampled"
    )


def test_a_doubt_of_flow_is_in_pixels_of_the_frame(predictor):
    frames, options = pictures(2, 128, 96), {"ensemble_size": 6, "output_uncertainty": True}
    after_two, *_, last = predictor.stream(frames[0], "flow", second=frames[1], every=2, **options)
    for factor, draws in ((1.001, 2), (0.3, 6)):
        rule = StopRule(doubt=after_two.doubt[0] * factor)
        result = predictor(frames[0], "flow", second=frames[1], until=rule, **options)
        assert result.member_counts == (draws,), "worked at a quarter of the size"
    assert last.doubt[0] > 0.3 * after_two.doubt[0]


@pytest.mark.parametrize("merge", ["vote", "median"])
def test_every_picture_keeps_the_members_of_a_hidden_object(predictor, merge):
    """Also where one picture stops before the other, and where paintings are merged."""
    images, options = pictures(2), {"ensemble_size": 6, "output_uncertainty": True, "merge": merge}
    given = {"mask": [np.arange(32 * 32).reshape(32, 32) < 400] * 2}
    after_two = next(predictor.stream(images, "amodal", every=2, **given, **options))
    rule = StopRule(doubt=float(np.mean(after_two.doubt)), gain=1e-9)
    result = predictor(images, "amodal", until=rule, **given, **options)
    assert min(result.member_counts) == 2 < max(result.member_counts)
    for mask, members, values, spread in zip(
        result.masks, result.member_counts, result.prediction, result.uncertainty, strict=True
    ):
        assert mask.shape == (members, 1, 32, 32) and mask.dtype == torch.bool
        disagree = (mask[:, 0].numpy() != values[..., 0]).mean(0)
        np.testing.assert_allclose(disagree, spread[..., 0], atol=1e-6)
    assert predictor(images, "amodal", **given).masks is None


def test_until_never_passes_the_most(predictor):
    assert predictor(pictures(1), until="1e-9", ensemble_size=5).member_counts == (5,)
    assert predictor(pictures(1), until="1e9").member_counts == (2,)
    assert predictor(pictures(1), until="1e-9").member_counts == (20,)


@pytest.mark.parametrize("sampler", ["ddpm", "dpmpp-2m", "euler", "heun"])
def test_samplers_differ_and_repeat(predictor, sampler):
    image, options = pictures(1)[0], {"num_inference_steps": 4}
    one, again = (predictor(image, sampler=sampler, **options).prediction for _ in range(2))
    np.testing.assert_array_equal(one, again)
    if sampler != "euler":  # which is DDIM, written on the line
        assert not np.array_equal(one, predictor(image, **options).prediction)


def test_opposite_draws_are_pairs(predictor):
    image = pictures(1)[0]
    plain, paired = (predictor(image, ensemble_size=2, antithetic=a) for a in (False, True))
    first = predictor(image)
    np.testing.assert_array_equal(plain.painting, paired.painting)
    assert not np.array_equal(plain.prediction, paired.prediction)
    assert first.members == 1


def test_save_and_load(predictor, tmp_path):
    predictor.save_pretrained(tmp_path / "model")
    loaded = Predictor.from_pretrained(tmp_path / "model")
    image = pictures(1)[0]
    np.testing.assert_array_equal(loaded(image).prediction, predictor(image).prediction)
    assert loaded.chain.config == predictor.chain.config


def test_rounded_weights_are_not_saved_as_the_model(predictor, tmp_path):
    predictor.save_pretrained(tmp_path / "model")
    rounded = Predictor.from_pretrained(tmp_path / "model", precision="bf16")
    assert rounded(pictures(1)).prediction.dtype == np.float32
    with pytest.raises(InputError, match="precision"):
        rounded.save_pretrained(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_model_folder_must_be_whole(predictor, tmp_path):
    predictor.save_pretrained(tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(InputError, match="model"):
        Predictor.from_pretrained(tmp_path / "model")
    weights.unlink()
    with pytest.raises(InputError, match=r"without model\.safetensors"):
        Predictor.from_pretrained(tmp_path / "model")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"task": "normals"}, "task"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"num_inference_steps": 1001}, "steps"),
        ({"ensemble_size": 0}, "ensemble_size"),
        ({"output_uncertainty": True}, "output_uncertainty"),
        ({"until": "soon"}, "until"),
        ({"batch_size": 0}, "batch_size"),
        (
            {
                "task": "amodal",
                "mask": np.eye(32, 400, dtype=bool),
                "image": np.zeros((3, 32, 400), np.uint8),
            },
            "mask",
        ),
        ({"processing_resolution": 4}, "processing_resolution"),
        ({"task": "flow"}, "second"),
        ({"task": "amodal"}, "mask"),
        ({"second": np.zeros((3, 32, 32), np.uint8)}, "second"),
        ({"task": "flow", "second": np.zeros((3, 32, 40), np.uint8)}, "second"),
        ({"task": "amodal", "mask": np.zeros((32, 32), bool)}, "mask: got an empty mask"),
        ({"task": "amodal", "mask": np.ones((8, 8), bool)}, "mask"),
        ({"image": np.full((3, 32, 32), 2, np.float32)}, "image: .* 2 to 2"),
        ({"image": []}, "image"),
    ],
)
def test_bad_input_is_named(predictor, arguments, says):
    with pytest.raises(InputError, match=says):
        predictor(**({"image": pictures(1)[0]} | arguments))


@pytest.mark.parametrize("door", ["__call__", "stream"])
def test_a_misspelt_argument_is_refused_and_the_right_one_suggested(predictor, door):
    with pytest.raises(InputError, match=r"^ensemble_sise: .*, allowed: 'ensemble_size'") as raised:
        getattr(predictor, door)(pictures(1), ensemble_sise=4)
    assert raised.value.argument == "ensemble_sise"
    with pytest.raises(InputError, match=r"zzz: .* one of antithetic, batch_size, budget, by,"):
        getattr(predictor, door)(pictures(1), zzz=1)


def test_a_call_lists_its_arguments_and_a_stream_has_the_same(predictor):
    call, stream, options = (
        inspect.signature(each).parameters
        for each in (Predictor.__call__, Predictor.stream, Options)
    )
    inputs = {"self", "image", "task", "second", "mask", "generator", "unknown"}
    assert set(stream) == set(options) | inputs
    assert set(call) == set(stream) - {"by", "every"}
    for name in set(call) & set(options):
        assert call[name].default == stream[name].default == options[name].default


def test_the_network_is_priced_once_for_a_size_and_an_effort(predictor, monkeypatch):
    asked, breakdown = [], flops.breakdown
    monkeypatch.setattr(flops, "breakdown", lambda *size: asked.append(size) or breakdown(*size))
    flops.count.cache_clear()
    for by in ("member", "step", "member"):
        *_, last = predictor.stream(pictures(1), by=by, ensemble_size=8, num_inference_steps=5)
    assert len(asked) == 1
    assert last.macs == 8 * 5 * sum(cost.macs for cost in breakdown(*asked[0]).values())


def test_unknown_model():
    with pytest.raises(InputError, match="--model: got 'tinier'"):
        Predictor.from_pretrained("tinier")


def test_a_size_far_from_the_models_own_is_said_with_its_price(predictor, caplog):
    say_once.cache_clear()
    predictor(pictures(1)[0], processing_resolution=128)
    assert not caplog.records, "16 times the pixels of 32 x 32"
    predictor(pictures(1)[0], processing_resolution=136, num_inference_steps=1)
    cells = 136 // predictor.chain.autoencoder.factor
    price = count(predictor.chain.config.model, cells, cells).macs
    said = caplog.messages[-1]
    assert "works at 136 x 136, 18 times the pixels" in said
    assert f"{price / 1e9:,.3f} GMACs" in said


UNTYPED = """
import numpy as np
from lookharder import Predictor
predictor, picture = Predictor.from_pretrained("tiny"), np.zeros((32, 32, 3), np.uint8)
wrong = {
    "until": 0.01, "budget": 2, "seed": 1.5, "ensemble_size": 2.0, "num_inference_steps": "3",
    "batch_size": 1.5, "levels": 1.5, "mirror": "no", "output_uncertainty": 1,
}
for name, value in wrong.items():
    try:
        predictor(picture, **{name: value})
    except ValueError as error:
        assert str(error).startswith(f"{name}: got {value!r}, allowed: "), error
    else:
        raise AssertionError(name)
asked = {"seed": np.int32(3), "ensemble_size": np.int64(2)}
same = predictor(picture, seed=3, ensemble_size=2).prediction
assert (predictor(picture, **asked).prediction == same).all()
"""


def test_arguments_of_other_types_are_named():
    """In a process of their own: here the annotations are checked before."""
    subprocess.run([sys.executable, "-c", UNTYPED], check=True)
