"""Members are sampled in rounds, each of which gives a better answer, until enough is known or time is up."""

import time
from collections.abc import Callable, Iterator
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from lookharder.predict.effort import StopRule
from lookharder.shapes import Fields

P = ParamSpec("P")
T = TypeVar("T")


def without_gradients(generate: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """Run a generator under `no_grad`, which does not reach the code that consumes it."""

    @wraps(generate)
    def advance(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        items = generate(*args, **kwargs)
        while True:
            # not around the yield: the caller's code would inherit the mode
            with torch.no_grad():
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item

    return advance


class Rounds:
    """Which members come next, for which images, and the answer for each image so far.

        rounds = Rounds(images=2, members=8, every=2)
        for members in rounds:  # range(0, 2), range(2, 4), ...
            draws = rounds.add(sampled(members, rounds.active))  # (N, A, ...) of all rounds
            rounds.update(*task.merge(draws), painting)

    Args:
        images: how many the batch has.
        members: of each image, at the most.
        every: members of each image in a round; None = all in one.
        until: stop sampling for images that meet this rule; in the unit of the answer at its working size.
        deadline: no round is begun that would not end by then, as `time.perf_counter` counts; None = no deadline.

    Attributes:
        active: A images that are still sampled, by their place in the batch.
        counts: members merged, for each image.
        updates: how often the answers were updated.
        prediction: (B, ...), merged.
        uncertainty: (B, H, W) of the members, zero for one.
        painting: (B, F, 3, H, W), the first member as the network painted it.
        drawn: of each image its members (n, ...), as they were merged.
    """

    def __init__(
        self,
        images: int,
        members: int,
        *,
        every: int | None = None,
        until: StopRule | None = None,
        deadline: float | None = None,
    ) -> None:
        self.members, self.every = members, members if every is None else every
        self.until, self.deadline = until, deadline
        self.active, self.counts, self.updates = list(range(images)), [0] * images, 0
        self._round = range(0)
        self._draws = self.prediction = self.uncertainty = self.painting = torch.empty(0)
        self.drawn = [torch.empty(0)] * images

    def __iter__(self) -> Iterator[range]:
        for first in range(0, self.members, self.every):
            began = time.perf_counter()
            self._round = range(first, min(first + self.every, self.members))
            yield self._round
            self._stop()
            late = self.deadline is not None and time.perf_counter() * 2 - began > self.deadline
            if late or not self.active:
                return

    def add(self, draws: Tensor) -> Tensor:
        """The members of this round (n, A, ...), after those of the rounds before: (N, A, ...)."""
        first = self._round.start == 0
        self._draws = draws if first else torch.cat([self._draws, draws])
        return self._draws

    def update(self, merged: Tensor, uncertainty: Float[Tensor, "A H W"], painting: Fields) -> None:
        """Take the better answers of the active images; tensors that were read before stay as they were."""
        if self._round.start == 0:  # all images are active
            self.prediction, self.uncertainty, self.painting = merged, uncertainty, painting
        else:
            self.prediction, self.uncertainty = self.prediction.clone(), self.uncertainty.clone()
            self.prediction[self.active] = merged
            self.uncertainty[self.active] = uncertainty
        self.updates += 1
        for place, image in enumerate(self.active):
            self.counts[image] = self._round.stop
            self.drawn[image] = self._draws[:, place]

    def _stop(self) -> None:
        """Drop the images that meet the rule, and their members."""
        if self.until is None:
            return
        spreads = self.uncertainty[self.active].mean((1, 2)).tolist()
        done = [self.until.met(spread, self._round.stop, self.every) for spread in spreads]
        keep = [place for place, met in enumerate(done) if not met]
        self.active = [self.active[place] for place in keep]
        self._draws = self._draws[:, keep]
