"""Noise search: instead of averaging over noise, look for noise that gives a good answer, without ground truth.

    random        K draws; judges rank them; the best `keep` are merged
    zero-order    the best of K draws is the centre; K neighbours of its noise, sqrt(1 - r^2) z + r w, are ranked with
                  it; the best becomes the centre; repeat

Judges keep symmetries of the world (`tasks.verify`): a depth map should agree with that of the mirror image and of a
part of the picture, flow should carry one frame into the other and lead back, a whole object contains its visible part.
Some need predictions of their own, of the mirror image, a crop or the way back; these are painted by the same model,
and `macs` counts them. Judges speak in different units, so each ranks the candidates and the mean rank decides.

Random and zero-order search over noise are Ma et al.'s (2501.09732), for generation; judges of perception are ours.
Whether it pays against the plain median of as many draws is measured in `benchmarks/noise_search.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lookharder.answer import Answer
from lookharder.chain import Chain
from lookharder.data.example import Batch
from lookharder.easel import Easel
from lookharder.effort import Effort
from lookharder.errors import InputError
from lookharder.tasks import verify
from lookharder.tasks.registry import AnyTask

Scores = Float[Tensor, "B"]
Judge = Callable[[Tensor], Float[Tensor, "K B"]]  # draws (K, B, ...) -> a score for each
References = Callable[
    [Batch], Tensor
]  # another batch -> merged predictions (B, ...), painted and paid for
Method = Literal["random", "zero-order"]
CROP = 0.75  # of the sides


@dataclass(frozen=True, kw_only=True)
class Search:
    """How to search.

    Attributes:
        method: "random" or "zero-order".
        candidates: draws judged in a round, K.
        rounds: of zero-order search, after the first.
        radius: of the neighbourhood, r in (0, 1].
        keep: best draws of the last ranking that are merged.
        references: draws of each prediction that the judges need.
    """

    method: Method = "random"
    candidates: int = 8
    rounds: int = 2
    radius: float = 0.3
    keep: int = 1
    references: int = 4

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise InputError("method", repr(self.method), f"one of {get_args(Method)}")
        for name in ("candidates", "rounds", "keep", "references"):
            if getattr(self, name) < 1:
                raise InputError(name, getattr(self, name), "1 or more")
        if self.keep > self.candidates:
            raise InputError("keep", self.keep, f"at most candidates = {self.candidates}")
        if not 0 < self.radius <= 1:
            raise InputError("radius", self.radius, "above 0, 1 at the most")


@torch.inference_mode()
def search(
    chain: Chain,
    task_name: str,
    batch: Batch,
    effort: Effort,
    how: Search,
    *,
    seed: int = 0,
    chunk: int = 64,
) -> Answer:
    """The best draws that were found, merged.

    Args:
        chain: the system.
        task_name: one of its tasks with a judge: "depth", "flow" or "amodal".
        batch: pictures (B, 3, H, W) on the chain's device, sides multiples of `chain.multiple`.
        effort: how each draw is made; its `members` plays no part.
        how: how to search.
        seed: key of the noise.
        chunk: network inputs at a time.

    Returns:
        An answer whose `macs` hold all candidates and references; `images` are the best draw's.

    Raises:
        InputError: for a task without a judge.
    """
    task = chain.task(task_name)
    if task_name not in JUDGES:
        raise InputError("task", repr(task_name), f"one of {sorted(JUDGES)}")
    spent = 0

    def references(other: Batch) -> Tensor:
        nonlocal spent
        easel = Easel(chain, task, other, effort, seed=seed, chunk=chunk)
        drawn = _draws(easel, task, range(how.references))[1]
        spent += easel.macs
        return task.merge(drawn)[0]

    judges = JUDGES[task_name](chain, batch, references)
    easel = Easel(chain, task, batch, effort, seed=seed, chunk=chunk)
    images, draws = _draws(easel, task, range(how.candidates))
    noise = _noise(easel, range(how.candidates))  # (K, B, F, c, h, w)
    order = rank(draws, judges)  # (K, B), best first
    for turn in range(how.rounds if how.method == "zero-order" else 0):
        numbers = range(how.candidates * (turn + 1), how.candidates * (turn + 2))
        centre = _pick(noise, order[:1])
        fresh = (1 - how.radius**2) ** 0.5 * centre + how.radius * _noise(easel, numbers)
        found = _draws(easel, task, numbers, fresh)
        images = torch.cat([_pick(images, order[:1]), found[0]])
        draws = torch.cat([_pick(draws, order[:1]), found[1]])
        noise = torch.cat([centre, fresh])
        order = rank(draws, judges)
    merged, spread = task.merge(_pick(draws, order[: how.keep]))
    return Answer(
        prediction=merged,
        uncertainty=spread,
        images=_pick(images, order[:1])[0],
        draws=(how.keep,) * len(merged),
        macs=easel.macs + spent,
    )


def rank(draws: Tensor, judges: list[Judge]) -> Int[Tensor, "K B"]:
    """For each picture the draws (K, B, ...) from best to worst, by their mean rank among all judges."""
    scores = torch.stack([judge(draws) for judge in judges])  # (judges, K, B)
    places = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)  # (judges, K, B)
    return places.double().mean(0).argsort(dim=0, stable=True)


def _depth_judges(chain: Chain, batch: Batch, references: References) -> list[Judge]:
    mirrored = verify.flip_map(references(verify.flip(batch)))
    height, width = batch.image.shape[-2:]
    sides = [
        max(1, round(CROP * side / chain.multiple)) * chain.multiple for side in (height, width)
    ]
    window = verify.Window(
        top=(height - sides[0]) // 2, left=(width - sides[1]) // 2, height=sides[0], width=sides[1]
    )
    part = references(window.crop(batch))
    return [
        _each(lambda draw: verify.depth_agreement(draw, mirrored)),
        _each(lambda draw: verify.depth_agreement(window.cut(draw), part)),
    ]


def _flow_judges(chain: Chain, batch: Batch, references: References) -> list[Judge]:
    second = batch.need("second")
    backward = references(replace(batch, image=second, second=batch.image))

    def judged(score: Callable[[Tensor, Tensor], Scores]) -> Judge:
        """All candidates on the pixels that all of them keep in the frame."""

        def judge(draws: Tensor) -> Float[Tensor, "K B"]:
            kept = torch.stack([verify.warp(second, draw)[1] for draw in draws]).all(0)
            return torch.stack([score(draw, kept) for draw in draws])

        return judge

    return [
        judged(lambda d, kept: verify.photometric_consistency(batch.image, second, d, kept)),
        judged(lambda d, kept: verify.forward_backward_consistency(d, backward, kept)),
    ]


def _amodal_judges(chain: Chain, batch: Batch, references: References) -> list[Judge]:
    mirrored = verify.flip_map(references(verify.flip(batch)))
    visible = batch.need("visible")
    return [
        _each(lambda draw: verify.mask_agreement(draw, mirrored)),
        _each(lambda draw: verify.containment(draw, visible)),
    ]


JUDGES: dict[str, Callable[[Chain, Batch, References], list[Judge]]] = {
    "depth": _depth_judges,
    "flow": _flow_judges,
    "amodal": _amodal_judges,
}


def _each(score: Callable[[Tensor], Scores]) -> Judge:
    return lambda draws: torch.stack([score(draw) for draw in draws])


def _orders(easel: Easel, numbers: range) -> list[tuple[int, int]]:
    return [(b, n) for n in numbers for b in range(len(easel.pictures))]


def _noise(easel: Easel, numbers: range) -> Float[Tensor, "K B F c h w"]:
    return easel.noise(_orders(easel, numbers)).unflatten(0, (len(numbers), -1))


def _draws(
    easel: Easel, task: AnyTask, numbers: range, start: Float[Tensor, "K B F c h w"] | None = None
) -> tuple[Float[Tensor, "K B F 3 H W"], Tensor]:
    """Images of those draws of every picture, and what they mean."""
    given = None if start is None else start.flatten(0, 1)
    images = easel.paint(_orders(easel, numbers), given).unflatten(0, (len(numbers), -1))
    return images, task.from_image(images)


def _pick(values: Tensor, order: Int[Tensor, "k B"]) -> Tensor:
    """For each picture b, the values (K, B, ...) at order[:, b]."""
    return values[order, torch.arange(values.shape[1], device=values.device)]
