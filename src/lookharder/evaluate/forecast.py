"""Draws of a model as a forecast of the truth, and what a single answer is worth with noise fitted to its errors.

    draws     N answers, denoised from N noises
    rivals    N copies of one answer of one step, each with noise:
        laplace    of one width
        edges      of a width for each distance to an edge of the answer
        errors     what the one step missed in another scene: pixels share what such misses share

Noise is fitted on half of the scenes and scored on the other half, and the other way round. Draws that do not beat
the first two say no more than how far off a pixel may be; those that do not beat the last say nothing of what pixels
share that depends on the picture.

Depth is scored as it is learnt, between the quantiles of its own picture: no fit to the truth is needed. Flow is in
pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from lookharder.chain import Chain
from lookharder.data.example import Dataset, collate
from lookharder.errors import InputError
from lookharder.metrics.scores import forecast_rule
from lookharder.predict.effort import Effort
from lookharder.predict.sampling import BatchSampler, noise_keys
from lookharder.seeding import numpy_generator

Rival = Literal["laplace", "edges", "errors"]
STEEP = 0.05  # an edge of an answer: so much of its range from one pixel to the next
RINGS = (0.5, 1.5, 2.5, 4.5, 8.5)  # bounds of the distances to an edge that share a width, pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecast:
    """Draws for some scenes, beside the truth; C = 1 for depth and masks, 2 for flow.

    Attributes:
        draws: N of each scene; masks are 0 and 1.
        truth: in the same terms.
        known: where the truth is known.
        luma: brightness of the picture, in [0, 1].
        bounds: between which the truth must lie.
    """

    draws: Float[np.ndarray, "N scenes C H W"]
    truth: Float[np.ndarray, "scenes C H W"]
    known: Bool[np.ndarray, "scenes H W"]
    luma: Float[np.ndarray, "scenes H W"]
    bounds: tuple[float, float]


@torch.inference_mode()
def forecast(
    chain: Chain,
    task_name: str,
    dataset: Dataset,
    *,
    steps: int,
    members: int,
    seed: int,
    change: Callable[[torch.Tensor], torch.Tensor] = lambda image: image,
    batch: int = 32,
) -> Forecast:
    """Draws of a model for the scenes of a set, which are of the network's size.

    Args:
        chain: the model.
        task_name: one of its tasks.
        dataset: the scenes.
        steps: denoising steps of a draw.
        members: how many draws, N.
        seed: key of the noise, the same as that of predictions.
        change: done to the pictures (B, 3, H, W) that the network sees; the truth stays.
        batch: scenes at a time; what is drawn does not depend on it.

    Raises:
        InputError: a task whose draws are not scored as a forecast.
    """
    task, effort = chain.task(task_name), Effort(steps=steps, members=members)
    rule = forecast_rule(task_name)
    chain.network.eval()
    found: list[tuple[np.ndarray, ...]] = []
    for start in range(0, len(dataset), batch):
        scenes = collate([dataset[i] for i in range(start, min(start + batch, len(dataset)))])
        target, count = task.to_image(scenes), len(scenes.name)
        shown = replace(scenes, image=change(scenes.image)).to(chain.device)
        noise, condition = noise_keys(scenes.image, seed), chain.condition(task, shown)
        sampler = BatchSampler(chain, task, shown, condition, effort, noise=noise)
        (latents,) = sampler.sample(range(members), range(count))
        draws = task.from_image(task.keep_given(sampler.decode(latents, range(members)), shown))
        truth = task.from_image(target.images[None])
        shape = (-1, count, rule.channels, *scenes.image.shape[-2:])
        maps = (each.reshape(shape).cpu().double().numpy() for each in (draws, truth))
        found.append((*maps, target.known.numpy(), (scenes.image.mean(1).numpy() + 1) / 2))
    draws, truth, known, luma = zip(*found, strict=True)
    return Forecast(
        draws=np.concatenate(draws, 1),
        truth=np.concatenate(truth, 1)[0],
        known=np.concatenate(known),
        luma=np.concatenate(luma).astype(np.float64),
        bounds=rule.bounds,
    )


def rival(one: Forecast, how: str, members: int, seed: int) -> Forecast:
    """A single answer, with noise that was fitted to its errors in other scenes.

    Args:
        one: of one draw.
        how: which noise, a `Rival`.
        members: how many draws.
        seed: key of the noise.

    Raises:
        InputError: an unknown noise, more than one draw, or fewer than two scenes.
    """
    if how not in get_args(Rival):
        raise InputError("rival", repr(how), f"one of {get_args(Rival)}")
    if len(one.draws) != 1 or len(one.truth) < 2:
        got = f"{len(one.draws)} draws of {len(one.truth)} scenes"
        raise InputError("one", got, "one draw of two scenes or more")
    answer, rng = one.draws[0], numpy_generator(seed, "rival", how)
    misses = np.where(one.known[:, None], one.truth - answer, 0.0)
    rings = rings_of(answer) if how == "edges" else np.zeros(one.known.shape, int)
    noise, half = np.empty((members, *answer.shape)), np.arange(len(answer)) % 2
    for here in (half == 0, half == 1):
        shape = (members, *answer[here].shape)
        if how == "errors":
            noise[:, here] = misses[~here][rng.integers(np.sum(~here), size=shape[:2])]
        else:
            widths = _widths(misses[~here], one.known[~here], rings[~here])
            noise[:, here] = rng.laplace(size=shape) * widths[rings[here]][:, None]
    return replace(one, draws=(answer + noise).clip(*one.bounds))


def laplace_crps(error: Float[np.ndarray, "*shape"], width: float) -> Float[np.ndarray, "*shape"]:
    """CRPS of a Laplace distribution whose median misses by so much (Jordan et al. 2019, 1709.04743)."""
    far = np.abs(error)
    score: np.ndarray = far + width * np.exp(-far / width) - 0.75 * width
    return score


def best_width(error: Float[np.ndarray, "n"]) -> float:
    """Width of the Laplace noise of least mean CRPS: the strongest rival by the score that it is held to."""
    from scipy.optimize import minimize_scalar

    scale = float(np.abs(error).mean())
    if scale == 0:
        return 0.0
    found = minimize_scalar(
        lambda log_width: laplace_crps(error, scale * np.exp(log_width)).mean(),
        bounds=(-4, 3),
        method="bounded",
    )
    return float(scale * np.exp(found.x))


def _widths(
    misses: Float[np.ndarray, "scenes C H W"],
    known: Bool[np.ndarray, "scenes H W"],
    rings: Int[np.ndarray, "scenes H W"],
) -> Float[np.ndarray, "rings"]:
    """The best width in each ring; in one without pixels that of all."""
    by_pixel = np.moveaxis(misses, 1, -1)  # (scenes, H, W, C)
    every = best_width(by_pixel[known].ravel())
    inside = (by_pixel[known & (rings == ring)].ravel() for ring in range(len(RINGS) + 1))
    return np.array([best_width(part) if part.size else every for part in inside])


def rings_of(answer: Float[np.ndarray, "scenes C H W"]) -> Int[np.ndarray, "scenes H W"]:
    """Which ring around the edges of its answer each pixel lies in."""
    import cv2

    reach = np.ptp(answer, axis=(1, 2, 3))[:, None, None, None]
    down, right = (
        np.diff(answer, axis=axis, append=np.take(answer, [-1], axis)) for axis in (2, 3)
    )
    steep = (np.hypot(down, right) > STEEP * reach).any(1)  # (scenes, H, W)
    away = [cv2.distanceTransform((~each).astype(np.uint8), cv2.DIST_L2, 5) for each in steep]
    rings: np.ndarray = np.digitize(np.stack(away), RINGS)
    return rings
