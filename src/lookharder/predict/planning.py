"""From what is asked to what is done: the working size, the effort, and how much at a time.

What is worked out or measured for a size and an effort is kept, and not worked out again.
"""

import math
from dataclasses import replace
from functools import lru_cache, partial

from lookharder.chain import Chain, FitName
from lookharder.errors import InputError
from lookharder.files import say_once
from lookharder.predict.budget import Price, Prices, measure_joining, measure_speed, spend
from lookharder.predict.cost import image_cost
from lookharder.predict.effort import Effort
from lookharder.predict.inputs import require
from lookharder.predict.memory import (
    chunk_within,
    codec_chunk_within,
    denoising,
    free_bytes,
    peak_memory,
    refuse_if_too_large,
)
from lookharder.predict.options import Options, SamplingPlan
from lookharder.predict.rounds import Rounds
from lookharder.predict.settings import ErrorBound, SettingsTable

GROWN = 2.0  # times the resolution: the longer side of what is longer than `widest`, at most
FAR = 16  # times the pixels of the model's own size, from which a working size is said to be far from it


class SamplingPlanner:
    """Plans the predictions of one system.

    Args:
        chain: the system, on its device.
        settings: its table of measured settings, which a budget is spent by; None where it has none.

    Attributes:
        cost: (name of the task, effort, size, native) -> `ImageCost`.
        memory: (size, steps) -> `PeakMemory`.
        denoising: (size, steps) -> bytes of one network input.
        speed: (size, network inputs at a time) -> `Speed` of this machine.
        joining: (name of the task, size) -> seconds a pixel between looks, on this machine.
    """

    def __init__(self, chain: Chain, settings: SettingsTable | None) -> None:
        self.chain, self.settings = chain, settings
        self.cost = lru_cache(maxsize=256)(partial(image_cost, chain))
        self.memory = lru_cache(maxsize=256)(partial(peak_memory, chain))
        self.denoising = lru_cache(maxsize=256)(partial(denoising, chain))
        self.speed = lru_cache(maxsize=256)(partial(measure_speed, chain))
        self.joining = lru_cache(maxsize=256)(partial(measure_joining, chain))

    def working_size(
        self,
        height: int,
        width: int,
        resolution: int | None = None,
        fit: FitName | None = None,
        widest: float = math.inf,
    ) -> tuple[int, int]:
        """Size at which the network works: longest edge `resolution`, sides multiples of what the chain needs.

        By fit "square" both edges are that long; at 0, the native size, a picture keeps its shape in any case.
        The shorter edge of a picture longer than `widest` : 1 is not scaled below that of one of this shape, as long as
        the longer one stays within `GROWN` times the resolution.

        Raises:
            InputError: a resolution below one patch.
        """
        resolution = self.chain.config.resolution if resolution is None else resolution
        multiple = self.chain.multiple
        if resolution != 0 and resolution < multiple:
            allowed = f"0 (native) or {multiple} or more"
            raise InputError("processing_resolution", resolution, allowed)
        if resolution and (fit or self.chain.config.fit) == "square":
            height = width = resolution
        slim = max(height, width) / (widest * min(height, width))
        longest = resolution * min(max(slim, 1.0), GROWN)
        scale = longest / max(height, width) if resolution else 1.0
        rows, columns = (max(1, round(side * scale / multiple)) for side in (height, width))
        return rows * multiple, columns * multiple

    def plan(
        self, task: str, options: Options, images: int, native: tuple[int, int]
    ) -> SamplingPlan:
        """What is done for so many images of a size: as the options say, or as their budget buys.

        Raises:
            InputError: options that these images, or this system, do not allow.
        """
        asked, chunk = options.processing_resolution, options.batch_size
        widest = math.inf if asked is not None else self.chain.task(task).widest
        self._check_task(task, options)
        if options.budget is None:
            effort = options.effort(self.chain.config, self.levels(task))
            size = self.working_size(*native, asked, options.fit, widest)
            several = effort.members > 1 or not options.output_uncertainty
            require(several, "output_uncertainty", True, "ensemble_size of 2 or more")
            still = options.until is None or options.until.change is None or effort.levels > 1
            require(still, "until", "change, at one level", "2 levels or more")
            free, one = free_bytes(self.chain), self.denoising(size, effort.steps)
            refuse_if_too_large(free, one, size)
            self._warn_of_noise(effort)
            self._warn_if_far(task, effort, size, native)
            return SamplingPlan(
                effort=effort,
                size=size,
                native=native,
                chunk=chunk_within(free, one, chunk),
                codec_chunk=codec_chunk_within(
                    free, self.chain, size, chunk, lambda: self.memory(size, effort.steps)
                ),
                bound=self._bound(task, effort) if options.merge is None else None,
            )
        if asked is not None:  # said before the speed at that size is measured
            size = self.working_size(*native, asked, options.fit)
            self._warn_if_far(task, Effort(steps=self.chain.config.steps), size, native)
        plan = spend(
            options.budget,
            self._prices(task, images, native, chunk),
            self.settings,
            task,
            chunk,
            # a resolution that the caller insists on replaces that of a measured setting
            lambda s: self.working_size(
                *native, s.resolution if asked is None else asked, options.fit, widest
            ),
        )
        return replace(plan, bound=self._bound(task, plan.effort))

    def price(self, task: str, plan: SamplingPlan) -> Price:
        """What one image costs by a plan, before it is paid; the first of a size measures the machine's speed."""
        prices = self._prices(task, 1, plan.native, plan.chunk)
        return Price(
            macs=prices.macs(plan.effort, plan.size), seconds=prices.seconds(plan.effort, plan.size)
        )

    def _prices(self, task: str, images: int, native: tuple[int, int], chunk: int) -> Prices:
        return Prices(
            images=images,
            native=native,
            sources=self.chain.task(task).sources,
            cost=lambda effort, size: self.cost(task, effort, size, native),
            memory=self.memory,
            speed=lambda size: self.speed(size, chunk),
            joining=lambda size: self.joining(task, size),
        )

    def levels(self, task: str) -> int:
        """At which the model looks where nothing is asked."""
        return self.settings.levels.get(task, 1) if self.settings else 1

    def _check_task(self, task: str, options: Options) -> None:
        """Refuse what the task has not: mirror images, and windows to leave out, whoever picks the levels."""
        own, tasks = self.chain.task(task), self.chain.tasks.items()
        if options.mirror and not own.mirrors:
            able = " ".join(repr(name) for name, each in tasks if each.mirrors)
            raise InputError("mirror", f"True, of task {task!r}", f"False, or task {able}")
        change = None if options.until is None else options.until.change
        if change is not None and not own.leaves_windows_out:
            able = " ".join(repr(name) for name, each in tasks if each.leaves_windows_out)
            allowed = f"a rule of members, or task {able}"
            raise InputError("until", f"change, of task {task!r}", allowed)

    def _warn_of_noise(self, effort: Effort) -> None:
        """Say once where prediction, schedule and spacing do not work together."""
        own = self.chain.config
        first = effort.timesteps(own.schedule, own.sampling)[0]
        danger = own.sampling.danger(own.prediction, own.schedule, first, effort.steps)
        if danger is not None:
            say_once("sampling", danger)

    def _warn_if_far(
        self, task: str, effort: Effort, size: tuple[int, int], native: tuple[int, int]
    ) -> None:
        """Say once, with its price, that a size is far from the model's own."""
        times = size[0] * size[1] / self.chain.config.resolution**2
        if times > FAR:
            macs = self.cost(task, effort, size, native).member
            say_once(
                "processing_resolution",
                f"the network works at {size[1]} x {size[0]}, {times:.0f} times the pixels of its own size: "
                f"{macs / 1e9:,.3f} GMACs for each member, and unlike what it was trained on; levels look closer at "
                "its own size",
            )

    def _bound(self, task: str, effort: Effort) -> ErrorBound | None:
        """The measured bound of errors, for what it was measured of: the model's own steps and levels."""
        own, levels, members = self.chain.config, self.levels(task), effort.members
        measured = Effort(
            steps=own.steps, members=members, spacing=own.sampling.spacing, levels=levels
        )
        return self.settings.bound(task) if self.settings and effort == measured else None


def rounds_of(
    plan: SamplingPlan, options: Options, images: int, *, unit: float, began: float
) -> Rounds:
    """Rounds of members as the options and the plan say; by step or level, one round of all members.

    Args:
        plan: what is done.
        options: what is asked.
        images: in the batch.
        unit: how many units of the answer as it is given one at the working size is; a rule is in the former.
        began: when the call began, as `time.perf_counter` counts.
    """
    if options.by != "member":
        return Rounds(images, plan.effort.members)
    rule = options.until if options.stops_members else None
    return Rounds(
        images,
        plan.effort.members,
        every=options.every or plan.every,
        until=None if rule is None else rule.scale(1 / unit),
        deadline=None if plan.seconds is None else began + plan.seconds,
    )
