"""How hard to look: what a prediction does, when it has done enough, and what it may cost.

    Effort      steps, members, levels, sampler, where the steps lie         predictor(image, num_inference_steps=4)
    StopRule    when enough is done for an image, or for a window of it      predictor(image, until="0.01")
    Budget      what an image may cost                                       predictor(image, budget="2s")

With n members whose spread at a pixel is u (the uncertainty of `task.merge`), the merged answer is uncertain by about

    doubt(n) = mean of u over the image / sqrt(n)                   in the unit of the answer

and m members more are expected to lower it by doubt(n) (1 - sqrt(n / (n + m))). Both need no ground truth. Doubt is
what more members can remove; an error that all of them share does not show in it.
"""

import math
import re
from dataclasses import dataclass, replace
from typing import Literal, TypeVar, get_args

from lookharder.diffusion.sampling import Sampling
from lookharder.diffusion.schedule import NoiseSchedule, ScheduleName, Spacing
from lookharder.diffusion.steps import SamplerName, evaluations
from lookharder.errors import InputError
from lookharder.models.cache import macs
from lookharder.models.config import DiTConfig

AS_TRAINED = Sampling()
BudgetKind = Literal["MACs", "seconds", "bytes"]
RULES = ("doubt", "gain", "change")
By = Literal["member", "step", "level"]  # after which a stream gives an answer


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What is done for one image.

    Attributes:
        steps: denoising steps, T.
        members: answers that are sampled and merged, N; the most of them where a stopping rule is given.
        sampler: how a step is taken.
        spacing: how the steps are spread; "trailing" starts from pure noise.
        noise_schedule: spread them as on this schedule (by signal-to-noise ratio); None = the model's own.
        antithetic: member 2k + 1 starts from the negative of member 2k's noise.
        mirror: member 2k + 1 sees the mirror image, and what it paints is turned back.
        cache: all blocks of the network run in every so many steps only (see `models.cache`); 1 = in each.
        levels: looks, L: one at the whole, and each further one at twice the size (see `predict.closer`).

    Raises:
        InputError: for a value out of range or an unknown name.
    """

    steps: int
    members: int = 1
    sampler: SamplerName = "ddim"
    spacing: Spacing = "trailing"
    noise_schedule: ScheduleName | None = None
    antithetic: bool = False
    mirror: bool = False
    cache: int = 1
    levels: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "members", "cache", "levels"):
            if getattr(self, name) < 1:
                raise InputError(name, getattr(self, name), "1 or more")
        for name, kind in (("sampler", SamplerName), ("spacing", Spacing)):
            if getattr(self, name) not in get_args(kind):
                raise InputError(name, repr(getattr(self, name)), f"one of {get_args(kind)}")
        if self.noise_schedule not in (None, *get_args(ScheduleName)):
            raise InputError(
                "noise_schedule", repr(self.noise_schedule), f"one of {get_args(ScheduleName)}"
            )

    def timesteps(self, schedule: NoiseSchedule, sampling: Sampling = AS_TRAINED) -> list[int]:
        """Times of a model's schedule at which its network is evaluated, from where its sampling begins."""
        test = None if self.noise_schedule is None else NoiseSchedule(name=self.noise_schedule)
        return sampling.times(schedule, self.steps, self.spacing, test)

    def macs(self, model: DiTConfig, height: int, width: int, steps: int | None = None) -> int:
        """Multiply-adds of the network for one field of one member.

        Args:
            model: the network.
            height: of the latent, in cells.
            width: of the latent, in cells.
            steps: count only so many steps, the first; None = all.
        """
        calls = evaluations(self.sampler, self.steps if steps is None else steps)
        return macs(model, height, width, calls, self.cache)


def level_sizes(
    size: tuple[int, int], native: tuple[int, int], levels: int
) -> tuple[tuple[int, int], ...]:
    """The size of a picture at each level: doubled, as long as the picture itself is nearer to that than to the last.

    Args:
        size: at which the network works, of the first level.
        native: of the picture.
        levels: L.
    """
    sizes = [size]
    while len(sizes) < levels:
        height, width = sizes[-1]
        more = max(native) ** 2 > 2 * max(height, width) ** 2
        sizes.append((2 * height, 2 * width) if more else (height, width))
    return tuple(sizes)


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """When enough is done: members for an image as soon as one of two rules holds, looks at a window by a third.

    Attributes:
        doubt: stop when the merged answer is uncertain by this much or less (above).
        gain: stop when the next members would lower the doubt by this much or less.
        least: members before either rule is applied; the spread of one is not known.
        change: at a further level leave out windows in which the look before changed the answer nowhere by more than
            this, in its units at the size of the image.
    """

    doubt: float | None = None
    gain: float | None = None
    least: int = 2
    change: float | None = None

    def __post_init__(self) -> None:
        if not self.of_members and self.change is None:
            raise InputError("until", "no rule", "doubt, gain or change")
        for name in RULES:
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(f"until.{name}", value, "a positive number")
        if self.least < 2:
            raise InputError("until.least", self.least, "2 or more")

    @property
    def of_members(self) -> bool:
        """Whether it says when to stop sampling members."""
        return self.doubt is not None or self.gain is not None

    @classmethod
    def parse(cls, text: str) -> "StopRule":
        """Read a rule: "0.01" or "doubt:0.01", "gain:0.002", "change:0.5", or several with commas between."""
        rules: dict[str, float] = {}
        for part in text.split(","):
            name, colon, value = part.strip().rpartition(":")
            try:
                rules[name if colon else "doubt"] = float(value)
            except ValueError:
                rules = {}
                break
        if not rules or not rules.keys() <= set(RULES):
            allowed = "a positive number, doubt:NUMBER, gain:NUMBER or change:NUMBER"
            raise InputError("until", repr(text), allowed)
        doubt, gain, change = map(rules.get, RULES)
        return cls(doubt=doubt, gain=gain, change=change)

    def scale(self, factor: float) -> "StopRule":
        """The same rule in another unit, of which `factor` are one of this rule's."""
        values = (self.doubt, self.gain, self.change)
        doubt, gain, change = (None if v is None else v * factor for v in values)
        return replace(self, doubt=doubt, gain=gain, change=change)

    def met(self, spread: float, members: int, more: int) -> bool:
        """Whether an image has members enough.

        Args:
            spread: mean of its uncertainty.
            members: merged so far.
            more: members that would be sampled next.
        """
        if members < self.least:
            return False
        doubt = spread / math.sqrt(members)
        gain = doubt * (1 - math.sqrt(members / (members + more)))
        enough = self.doubt is not None and doubt <= self.doubt
        return enough or (self.gain is not None and gain <= self.gain)


Asked = TypeVar("Asked", "StopRule", "Budget")


def as_asked(kind: type[Asked], value: object, name: str) -> Asked | None:
    """A rule or a budget as callers give it: itself, its text, or None.

    Raises:
        InputError: something else.
    """
    if value is None or isinstance(value, kind):
        return value
    if not isinstance(value, str):
        raise InputError(name, repr(value), f"a text, or a {kind.__name__}")
    return kind.parse(value)


UNITS: dict[str, tuple[BudgetKind, float]] = {
    "s": ("seconds", 1.0),
    "ms": ("seconds", 1e-3),
    "min": ("seconds", 60.0),
    "mac": ("MACs", 1.0),
    "mmac": ("MACs", 1e6),
    "gmac": ("MACs", 1e9),
    "tmac": ("MACs", 1e12),
    "b": ("bytes", 1.0),
    "mb": ("bytes", 1e6),
    "gb": ("bytes", 1e9),
    "mib": ("bytes", 2.0**20),
    "gib": ("bytes", 2.0**30),
}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What one image may cost.

    Attributes:
        kind: what is limited: MACs of the network and the autoencoder, seconds, or bytes at the peak.
        amount: how much of it.
    """

    kind: BudgetKind
    amount: float

    def __post_init__(self) -> None:
        if not (self.amount > 0 and math.isfinite(self.amount)):
            raise InputError("budget", self.amount, "a positive amount")

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read a budget: "2s", "300ms", "5 GMACs", "500 MB", "1GiB"; case and plural do not matter."""
        match = re.fullmatch(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]+)\s*", text.lower())
        unit = match[2] if match else ""
        unit = unit[:-1] if unit.endswith("macs") else unit
        try:
            kind, scale = UNITS[unit]
            return cls(kind=kind, amount=float(match[1]) * scale if match else 0.0)
        except (KeyError, ValueError) as error:
            units = "s, ms, min, MMACs, GMACs, TMACs, MB, GB, MiB, GiB"
            raise InputError(
                "budget", repr(text), f"a positive amount and its unit ({units})"
            ) from error

    def __str__(self) -> str:
        if self.kind == "seconds":
            return f"{self.amount:.3g} s"
        scale, prefix = next(
            (s, p) for s, p in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1, "")) if self.amount >= s
        )
        return f"{self.amount / scale:.3g} {prefix}{'B' if self.kind == 'bytes' else 'MACs'}"
