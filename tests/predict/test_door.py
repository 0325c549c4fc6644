"""The Python door: whatever a caller holds goes in, and what comes out can be shown, saved and moved on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lookharder.data.formats import read_npy, to_mask
from lookharder.errors import InputError
from lookharder.predict.predictor import Predictor

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (2, 24, 32, 3), np.uint8)
INSIDE = np.zeros((24, 32), bool)
INSIDE[6:18, 8:20] = True


@pytest.fixture(scope="module")
def predictor(random_model: Path) -> Predictor:
    return Predictor.from_pretrained(random_model)


def depth(predictor: Predictor, image: object, **options: object) -> np.ndarray:
    return predictor(image, num_inference_steps=1, **options).prediction


def test_stacks_are_lists_of_pictures(predictor):
    expected = depth(predictor, list(PIXELS))
    channels_first = np.moveaxis(PIXELS, -1, 1)
    for stack in (
        PIXELS,
        channels_first,
        PIXELS.astype(np.float32) / 255,
        torch.from_numpy(PIXELS),
        torch.from_numpy(channels_first).float() / 255,
        [Image.fromarray(image) for image in PIXELS],
    ):
        assert (depth(predictor, stack) == expected).all()
    assert depth(predictor, PIXELS[0]).shape == (1, 24, 32, 1)
    with pytest.raises(InputError, match="image"):
        depth(predictor, PIXELS[None])


def test_masks_are_bools_or_two_levels():
    for mask in (
        INSIDE,
        INSIDE.astype(np.uint8),
        INSIDE * 255,
        INSIDE.astype(np.float32),
        torch.from_numpy(INSIDE)[None],
        INSIDE[..., None],
        Image.fromarray(INSIDE),
    ):
        assert (to_mask(mask) == INSIDE).all()
    steps = np.where(INSIDE, 2, 0)
    steps[:5] = 1
    for wrong in (
        steps,
        -1.0 * INSIDE,
        np.full((4, 4), np.nan),
        np.zeros((4, 4, 3), bool),
        "x.png",
    ):
        with pytest.raises(InputError, match=r"mask|x\.png"):
            to_mask(wrong)


def test_a_stack_of_masks(predictor):
    masks = np.stack([INSIDE, INSIDE[::-1]])
    single = [
        predictor(image, "amodal", mask=mask, num_inference_steps=1).prediction[0]
        for image, mask in zip(PIXELS, masks, strict=True)
    ]
    several = predictor(PIXELS, "amodal", mask=255 * masks, num_inference_steps=1)
    assert (several.prediction == np.stack(single)).all()


def test_a_generator_for_each_image(predictor):
    def seeded(seed: int) -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    both = depth(predictor, PIXELS, generator=[seeded(3), seeded(4)])
    assert (both[1] == depth(predictor, PIXELS[1], generator=seeded(4))[0]).all()
    assert not (both[1] == depth(predictor, PIXELS, generator=seeded(3))[1]).all()
    with pytest.raises(InputError, match="generator: got 1 of them, allowed: 2"):
        depth(predictor, PIXELS, generator=[seeded(3)])


@pytest.mark.parametrize("output_type", ["np", "pt"])
@pytest.mark.parametrize("task", ["depth", "flow", "amodal"])
def test_results_show_and_save_themselves(predictor, tmp_path, task, output_type):
    given = {"flow": {"second": PIXELS[::-1]}, "amodal": {"mask": [INSIDE] * 2}}.get(task, {})
    result = predictor(
        PIXELS,
        task,
        **given,
        num_inference_steps=1,
        ensemble_size=2,
        output_uncertainty=True,
        output_type=output_type,
    )
    assert repr(result).startswith(f"Prediction({task}, 2 images of 24x32, 1 step x 2 members, ")
    assert "\n" not in repr(result) and repr(result).endswith("with uncertainty)")
    pictures = result.visualize()
    assert [picture.size for picture in pictures] == [(32, 24)] * 2
    assert result._repr_png_().startswith(b"\x89PNG")
    paths = result.save(tmp_path / "out", ["one", "two"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        path.name for path in paths
    )
    stored = read_npy(tmp_path / "out" / f"two.{task}.npy")
    values = np.asarray(result.prediction[1])
    values = np.moveaxis(values, -1, 0) if output_type == "np" else values
    assert (stored == (values if task == "flow" else values[0])).all()
    with Image.open(tmp_path / "out" / f"one.{task}.vis.png") as shown:
        assert (np.asarray(shown) == np.asarray(pictures[0])).all()
    with pytest.raises(InputError, match="folder"):
        result.save(tmp_path / "out", ["one", "three"])
    with pytest.raises(InputError, match="names"):
        result.save(tmp_path / "out", ["four"])
    with pytest.raises(InputError, match="--format"):
        result.save(tmp_path / "more", formats=["gif"])
    if task == "depth":
        for grey, map_ in zip(result.to_16bit(), np.asarray(result.prediction), strict=True):
            assert np.abs(np.asarray(grey) / 65535 - map_.squeeze()).max() < 1e-5
    else:
        with pytest.raises(InputError, match="to_16bit"):
            result.to_16bit()


def test_results_at_the_working_size_are_shown_at_that_size(predictor):
    result = predictor(
        np.tile(PIXELS[0], (4, 4, 1)),
        "amodal",
        mask=np.tile(INSIDE, (4, 4)),
        num_inference_steps=1,
        match_input_resolution=False,
    )
    assert result.visualize()[0].size == result.prediction.shape[2:0:-1]


def test_devices_and_types(predictor, random_model):
    assert predictor.to("cpu") is predictor and predictor.device.type == "cpu"
    for wrong in ("tpu", "cuda:x"):
        with pytest.raises(InputError, match="device"):
            predictor.to(wrong)
    half = Predictor.from_pretrained(random_model, "auto", dtype=torch.bfloat16)
    assert half.info()["dtype"] == "torch.bfloat16"
    with pytest.raises(InputError, match="float16"):
        Predictor.from_pretrained(random_model, dtype=torch.float16)


def test_a_predictor_says_what_it_is(predictor):
    info = predictor.info()
    assert info["tasks"][-3:] == ["depth", "flow", "amodal"]
    assert info["inputs"]["amodal"] == ["image", "mask"]
    weights = predictor.chain.network.state_dict().values()
    assert info["parameters"] == sum(value.numel() for value in weights)
    assert info["macs"] > 0 and info["device"] == "cpu" and len(info["weights"]) == 64
