"""Tasks are inverse translations, up to what each declares lost."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookharder.data.example import Batch, collate, to_float
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import Remembered
from lookharder.errors import InputError
from lookharder.metrics.protocol import Protocol
from lookharder.metrics.scores import SCORES
from lookharder.tasks.amodal import Amodal
from lookharder.tasks.depth import Depth, quantiles
from lookharder.tasks.flow import Flow
from lookharder.tasks.generation import Generation
from lookharder.tasks.registry import TASKS

WORLD = Remembered(ProceduralWorld(32, 5, count=8))


@pytest.fixture(scope="module")
def batch() -> Batch:
    return collate([WORLD[i] for i in range(4)])


def there_and_back(task, batch):
    return task.from_image(task.to_image(batch).images[None])[0]


@pytest.mark.parametrize("name", sorted(TASKS))
def test_seam(name, batch):
    task = TASKS[name]()
    assert task.name == name
    target = task.to_image(batch)
    assert target.images.shape == (4, task.fields, 3, 32, 32)
    assert target.images.abs().max() <= 1
    assert task.condition(batch).shape[1] in (0, 2)
    draws = task.from_image(target.images.expand(3, *target.images.shape))
    prediction, uncertainty = task.merge(draws)
    torch.testing.assert_close(prediction.float(), draws[0].float(), atol=1e-5, rtol=0)
    assert uncertainty.shape == (4, 32, 32)
    assert uncertainty.abs().max() < 1e-5
    assert task.resize(prediction, 20, 40).shape[-2:] == (20, 40)


@pytest.mark.parametrize(
    "task", [Depth(), Depth(space="relative"), Flow(), Flow(layout="split"), Amodal()], ids=repr
)
def test_what_is_painted_of_mirror_images_is_turned_back(task, batch):
    """The target of a mirror image, turned back, is the target."""
    assert task.mirrors
    turned = task.mirror(task.to_image(batch.mirror()).images[None])[0]
    torch.testing.assert_close(turned, task.to_image(batch).images, rtol=0, atol=0)


def test_a_task_without_mirror_images_says_so():
    assert not Generation().mirrors
    with pytest.raises(InputError, match="mirror: got True, allowed: False for task 'generation'"):
        Generation().mirror(torch.zeros(1, 1, 1, 3, 2, 2))


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_task_needs_what_it_reads_and_no_more(name, batch):
    """Without any other field condition and target are the same; without one of these they cannot be made."""
    task, label = TASKS[name](), torch.zeros(4, dtype=torch.int64)
    if name == "amodal":
        task = replace(task, span=0.5)
    whole = replace(batch, label=label)
    bare = Batch(name=batch.name, **{field: getattr(whole, field) for field in task.reads})
    for made in (task.condition, lambda given: task.to_image(given).images):
        assert torch.equal(made(bare), made(whole))
    for field in set(task.reads) - {"image", "label"}:
        lacking = replace(bare, **{field: None})
        with pytest.raises(InputError, match=field):
            task.condition(lacking), task.to_image(lacking)


@pytest.mark.parametrize("space", ["linear", "log", "disparity"])
def test_depth_is_affine_in_its_space_between_the_quantiles(space, batch):
    task = Depth(space=space)
    back = there_and_back(task, batch)
    for depth, valid, value in zip(batch.depth, batch.depth_valid, back, strict=True):
        inside = valid & (value > 0) & (value < 1)
        x = value[inside].double()
        y = {"linear": depth, "log": depth.log(), "disparity": 1 / depth}[space][inside].double()
        slope, offset = torch.linalg.lstsq(torch.stack([x, torch.ones_like(x)], 1), y).solution
        torch.testing.assert_close(slope * x + offset, y, atol=1e-4, rtol=1e-4)
        assert slope > 0, "larger is farther; of disparity, nearer"


def test_relative_depth_keeps_ratios_and_comes_back_as_depth(batch):
    task = Depth(space="relative", low=0.0, high=1.0, spread=3.0)
    images = task.to_image(batch).images
    for depth, valid, image in zip(batch.depth, batch.depth_valid, images[:, 0, 0], strict=True):
        ratio = depth[valid] / depth[valid].median()
        inside = image[valid].abs() < 1
        torch.testing.assert_close(
            (3 * image[valid]).exp()[inside], ratio[inside], rtol=0.02, atol=0
        )
    for depth, valid, value in zip(
        batch.depth, batch.depth_valid, there_and_back(task, batch), strict=True
    ):
        x, y = value[valid].double(), depth[valid].double()
        inside = y < y.median() * 18  # e^3 = 20
        design = torch.stack([x[inside], torch.ones_like(x[inside])], 1)
        solution = torch.linalg.lstsq(design, y[inside]).solution
        torch.testing.assert_close(design @ solution, y[inside], atol=1e-3, rtol=1e-3)
        assert value.min() >= 0 and value.max() <= 1


def test_the_sky_is_learnt_as_far_and_holes_are_not_learnt():
    depth = torch.tensor([[[2.0, 4.0, 8.0, 80.0, 0.0]]])  # sky, then a hole
    valid = torch.tensor([[[True, True, True, False, False]]])
    batch = Batch(name=("a",), image=torch.zeros(1, 3, 1, 5), depth=depth, depth_valid=valid)
    target = Depth(space="relative").to_image(batch)
    assert target.known.flatten().tolist() == [True, True, True, True, False]
    assert target.images[0, 0, 0, 0, 3] == 1
    assert Depth(space="disparity").to_image(batch).images[0, 0, 0, 0, 3] == -1, "far"
    assert Depth().to_image(batch).known.flatten().tolist() == [True, True, True, False, False]
    street = ProceduralWorld((48, 64), 2, world="photo", samples=1)
    open_air = (street.frame(i) for i in range(40))
    frame = next(e for e in open_air if 0.1 < 1 - e.depth_valid.mean() < 0.9)
    target = Depth(space="relative").to_image(collate([frame]))
    sky = torch.from_numpy(~frame.depth_valid)
    assert target.known.all() and (target.images[0, 0, 0][sky] == 1).all()


@pytest.mark.parametrize("output", ["depth", "log", "disparity"])
def test_relative_depth_comes_out_as_what_is_asked_for(batch, output):
    """Each is the truth in its own space, up to scale and shift; disparity grows as things come nearer."""
    task = Depth(space="relative", low=0.0, high=1.0, spread=5.0, output=output)
    answers = task.from_image(task.to_image(batch).images[None])[0]
    rules = Protocol(name="t", task="depth", max_depth=1e4, **task.scoring)
    for depth, valid, answer in zip(batch.depth, batch.depth_valid, answers, strict=True):
        truth = {"depth": depth.numpy(), "depth_valid": valid.numpy()}
        assert SCORES["depth"].evaluate(answer[None].numpy(), truth, rules)["abs_rel"] < 0.02
        known = depth[valid]
        nearest, farthest = (answer[valid][i] for i in (known.argmin(), known.argmax()))
        assert (nearest > farthest) == (output == "disparity")


def test_only_relative_depth_can_be_turned_into_another():
    assert (Depth().answer, Depth(space="log").answer) == ("depth", "log")
    assert Depth(space="disparity").answer == "disparity"
    assert Depth(space="log").view == "log" and Depth(output="depth").view == "depth"
    for space, output in (
        ("linear", "disparity"),
        ("linear", "log"),
        ("log", "depth"),
        ("disparity", "depth"),
    ):
        with pytest.raises(InputError, match="output"):
            Depth(space=space, output=output)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.1, 10))
def test_relative_depth_forgets_scale(scale):
    batch = collate([WORLD[0]])
    other = Batch(
        name=batch.name, image=batch.image, depth=batch.depth * scale, depth_valid=batch.depth_valid
    )
    first, second = (Depth(space="relative").to_image(b).images for b in (batch, other))
    torch.testing.assert_close(first, second, atol=1e-5, rtol=0)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.1, 10), shift=st.floats(0, 5))
def test_depth_forgets_scale_and_shift(scale, shift):
    batch = collate([WORLD[0]])
    other = Batch(
        name=batch.name,
        image=batch.image,
        depth=batch.depth * scale + shift,
        depth_valid=batch.depth_valid,
    )
    first, second = (Depth().to_image(b).images for b in (batch, other))
    torch.testing.assert_close(first, second, atol=1e-3, rtol=0)


def test_depth_quantiles_are_two_percent(batch):
    value = there_and_back(Depth(), batch)
    for v, valid in zip(value, batch.depth_valid, strict=True):
        assert (v[valid] <= 0).float().mean() == pytest.approx(0.02, abs=0.01)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (10, 96, 128)])
@pytest.mark.parametrize("unknown", [0.0, 0.3, 1.0])
def test_quantiles_are_those_of_torch(shape, unknown):
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(shape, generator=rng)
    values[torch.rand(shape, generator=rng) < unknown] = torch.nan
    shares = (0.0, 0.02, 0.5, 0.98, 1.0)
    expected = torch.nanquantile(values.flatten(1), torch.tensor(shares), dim=1)
    torch.testing.assert_close(
        quantiles(values, shares)[..., 0, 0], expected, rtol=0, atol=0, equal_nan=True
    )


def test_quantiles_of_more_numbers_than_torch_takes():
    ramp = torch.arange(2.0**24 + 2**12).view(1, 2**12, -1)
    assert quantiles(ramp, (0.5,)).item() == pytest.approx(ramp.numel() / 2, abs=2)


def test_depth_prompt_is_all_ones_and_validity_leaks(batch):
    hidden = torch.zeros_like(batch.depth_valid)
    hidden[:, :8] = True
    partly = Batch(name=batch.name, image=batch.image, depth=batch.depth, depth_valid=hidden)
    assert (Depth().condition(partly)[:, 1] == 1).all()
    assert not (Depth(prompt="validity").condition(partly)[:, 1] == 1).all()


def test_depth_needs_a_valid_pixel(batch):
    none = torch.zeros_like(batch.depth_valid)
    with pytest.raises(InputError, match="no valid depth"):
        Depth().to_image(
            Batch(name=batch.name, image=batch.image, depth=batch.depth, depth_valid=none)
        )


@pytest.mark.parametrize(
    "task", [Flow(), Flow(layout="split"), Flow(layout="split", limit=75.0, limit_unit="pixels")]
)
def test_flow_comes_back_in_pixels(task, batch):
    known = task.to_image(batch).known
    assert known.float().mean() > 0.9
    back = there_and_back(task, batch)
    expected = torch.where(known[:, None], batch.flow, 0)
    torch.testing.assert_close(back, expected, atol=1e-4, rtol=0)


def test_flow_resize_scales_u_and_v_apart():
    flow = torch.ones(1, 2, 8, 8)
    wide = Flow().resize(flow, 16, 24)
    torch.testing.assert_close(wide[:, 0], torch.full((1, 16, 24), 3.0))
    torch.testing.assert_close(wide[:, 1], torch.full((1, 16, 24), 2.0))


def test_flow_beyond_the_limit_is_not_learnt(batch):
    task = Flow(limit=0.01)
    target = task.to_image(batch)
    fast = (batch.flow.abs() > 0.01 * 32).any(1)
    assert fast.any()
    assert not (target.known & fast).any()


def test_amodal_mask_comes_back(batch):
    assert torch.equal(there_and_back(Amodal(), batch), batch.amodal)


@pytest.mark.parametrize("task", [Amodal(), Amodal(threshold=159.0, span=0.5)])
def test_what_is_visible_stays_in_the_answer_and_in_the_painting(batch, task):
    """Whatever was painted, here a white frame, in which nothing is."""
    white = torch.ones(2, len(batch.name), 1, *batch.image.shape[1:])
    kept = task.keep_given(white, batch)
    for draw in task.from_image(kept):
        assert torch.equal(draw, batch.visible)
    colours = task.to_colours(kept[0])[:, 0]
    seen = batch.visible[:, None].expand_as(colours)
    dim = seen & (batch.image.amax(1, keepdim=True) < 0.9)  # brighter ones are cut at the threshold
    assert torch.allclose(colours[dim], batch.image[dim], atol=1e-6)
    assert (colours[~seen] == 1).all()
    painted = task.to_image(batch).images[None]
    union = task.from_image(task.keep_given(painted, batch))[0]
    assert torch.equal(union, task.from_image(painted)[0] | batch.visible)


def test_with_a_narrower_span_white_objects_are_told_from_their_ground():
    """A white disc is lost by the published rule, and kept where colours stay below a distance from white."""
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    disc = ((x - 8) ** 2 + (y - 8) ** 2 < 25)[None]
    white = torch.ones(1, 3, 16, 16)
    batch = Batch(name=("disc",), image=white, whole=white, amodal=disc, visible=disc)
    assert not there_and_back(Amodal(), batch).any()
    assert torch.equal(there_and_back(Amodal(threshold=159.0, span=0.5), batch), disc)
    with pytest.raises(InputError, match="span"):
        Amodal(span=0.0)


@pytest.mark.parametrize(("grey", "surely"), [(90, True), (100, True), (101, False), (159, False)])
def test_outside_the_hull_of_what_is_visible_a_painting_has_to_be_surer(grey, surely):
    """Two corners of a rectangle are seen; everything is painted in one grey."""
    visible = torch.zeros(1, 20, 24, dtype=torch.bool)
    visible[0, 4, 5] = visible[0, 4, 18] = visible[0, 15, 5] = visible[0, 15, 18] = True
    rectangle = torch.zeros_like(visible)
    rectangle[0, 4:16, 5:19] = True
    image = torch.zeros(1, 3, 20, 24)
    batch = Batch(name=("corners",), image=image, visible=visible)
    task = Amodal(threshold=159.0, span=0.5, beyond_hull=100.0)
    painted = torch.full((2, 1, 1, 3, 20, 24), grey / 127.5 - 1)
    for draw in task.from_image(task.keep_given(painted, batch)):
        assert torch.equal(draw, torch.ones_like(visible) if surely else rectangle)
    alike = replace(task, beyond_hull=159.0).keep_given(painted, batch)
    assert torch.equal(alike, replace(task, beyond_hull=None).keep_given(painted, batch))
    with pytest.raises(InputError, match="beyond_hull"):
        Amodal(threshold=159.0, beyond_hull=160.0)


def test_amodal_rule_is_the_published_one():
    grey = torch.tensor([249, 250, 251, 255], dtype=torch.uint8).view(1, 1, 1, 4).expand(1, 3, 1, 4)
    images = to_float(grey)[None, :, None]  # (N, B, F, 3, H, W)
    assert Amodal().from_image(images).flatten().tolist() == [True, True, False, False]


def test_generation_needs_nothing(batch):
    assert Generation().condition(batch).shape == (4, 0, 3, 32, 32)


def test_missing_annotation_is_named(batch):
    bare = Batch(name=("photo",), image=batch.image[:1])
    for task in (Depth(), Flow(), Amodal()):
        with pytest.raises(InputError, match="photo"):
            task.to_image(bare)
