"""What a caller may ask of a `Predictor`, checked in one place, and what is then done for the images at hand.

Options         the keywords of a call; their names follow diffusers' Marigold pipelines
SamplingPlan    the same, once the size of the images is known and a budget is spent
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Integral
from typing import TYPE_CHECKING, Literal, get_args

import torch

from lookharder.chain import ChainConfig, FitName
from lookharder.diffusion.schedule import ScheduleName, Spacing
from lookharder.diffusion.steps import SamplerName
from lookharder.errors import InputError
from lookharder.predict.effort import Budget, By, Effort, StopRule, level_sizes
from lookharder.predict.inputs import require
from lookharder.predict.settings import ErrorBound

if TYPE_CHECKING:
    # the type of `**unknown`: mypy refuses every keyword that a signature does not list
    from typing import Never

    Unknown = Never
else:
    Unknown = object  # checkers at run time do not know Never; `refuse_unknown` does their work

Generators = torch.Generator | Sequence[torch.Generator]
OutputType = Literal["np", "pt"]
MOST = 20  # members where a rule says when to stop, and no number


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked of a prediction, beside its images and its task.

    Attributes:
        num_inference_steps: denoising steps; None = the model's default.
        ensemble_size: members, the answers that are merged; None = the model's default, or with `until` 20 at the most.
        processing_resolution: longest edge at which the network works; None = the model's, and more for what is
            longer than its task's `widest`; 0 = the image's own.
        fit: how a picture is brought to that: "inside" keeps its shape, "square" makes both edges that long; None = as
            the model was trained.
        match_input_resolution: give the prediction at the image's size.
        batch_size: network inputs at a time, at the most; fewer where memory is short.
        seed: key of the noise; several = one for each image.
        output_type: "np" (channels last) or "pt" (channels second).
        output_uncertainty: also give the uncertainty; needs two members or more.
        sampler: "ddim", "ddpm", "dpmpp-2m", "euler" or "heun"; None = "ddim".
        spacing: how the steps are spread, "trailing", "leading", "leading+1" or "linspace"; None = the model's.
        noise_schedule: spread them as on another schedule; None = the model's own.
        merge: how members are merged, a value of the task's `merging`; None = the task's own.
        antithetic: sample members in pairs of opposite noise.
        mirror: every second member sees the mirror image; two members, where `ensemble_size` does not say more.
        cache: run all blocks of the network in every so many steps only: sooner, and a little different.
        levels: looks: one at the whole, and each further one at twice the size, in windows; None = as many as pay.
        budget: what one image may cost. It picks steps, members, levels and sampler from the model's table of measured
            settings, so they must not be given beside it.
        until: stop sampling for an image, or looking at a window of it, when its answer meets this rule.
        by: yield a prediction after every round of members ("member"), after every denoising step ("step") or after
            every level ("level").
        every: members in a round; None = all in one, or what keeps a budget of seconds.

    Raises:
        InputError: naming what is out of range, or contradicts another.
    """

    num_inference_steps: int | None = None
    ensemble_size: int | None = None
    processing_resolution: int | None = None
    fit: FitName | None = None
    match_input_resolution: bool = True
    batch_size: int = 64
    seed: int | tuple[int, ...] = 0
    output_type: OutputType = "np"
    output_uncertainty: bool = False
    sampler: SamplerName | None = None
    spacing: Spacing | None = None
    noise_schedule: ScheduleName | None = None
    merge: str | None = None
    antithetic: bool = False
    mirror: bool = False
    cache: int = 1
    levels: int | None = None
    budget: Budget | None = None
    until: StopRule | None = None
    by: By = "member"
    every: int | None = None

    def __post_init__(self) -> None:
        counts = ("num_inference_steps", "ensemble_size", "batch_size", "cache", "levels", "every")
        for name in counts:
            value = getattr(self, name)
            whole = isinstance(value, Integral) and int(value) >= 1
            require(value is None or whole, name, repr(value), "a whole number, 1 or more")
        switches = ("match_input_resolution", "output_uncertainty", "antithetic", "mirror")
        for name in switches:
            value = getattr(self, name)
            require(isinstance(value, bool), name, repr(value), "True or False")
        words = {"output_type": OutputType, "by": By, "fit": FitName}
        for name, kind in words.items():
            value, kinds = getattr(self, name), get_args(kind)
            unset = name == "fit" and value is None
            require(unset or value in kinds, name, repr(value), f"one of {kinds}")
        picked = ("num_inference_steps", "ensemble_size", "sampler", "spacing", "noise_schedule")
        for name in (*picked, "mirror") if self.budget is not None else ():
            value = getattr(self, name)
            require(value in (None, False), name, value, "nothing beside a budget, which picks it")
        one = self.mirror and self.ensemble_size == 1
        require(not one, "mirror", "one member", "ensemble_size of 2 or more")
        once = self.levels in (None, 1)
        require(self.budget is None or once, "levels", self.levels, "1 beside a budget")
        stopped = self.by != "member" and self.stops_members
        require(not stopped, "until", f"by {self.by}", "a rule that stops between members")
        require(
            self.by != "step" or once,
            "levels",
            f"{self.levels}, by step",
            "1, or by member or level",
        )

    @property
    def stops_members(self) -> bool:
        """Whether members are sampled in rounds, until a rule is met."""
        return self.until is not None and self.until.of_members

    def effort(self, config: ChainConfig, levels: int = 1) -> Effort:
        """How hard to look at each image, where no budget decides it.

        Args:
            config: of the model, with its defaults.
            levels: at which the model looks at the task by default.
        """
        members = MOST if self.stops_members else max(config.members, 2 if self.mirror else 1)
        return Effort(
            steps=self.num_inference_steps or config.steps,
            members=self.ensemble_size or members,
            sampler=self.sampler or "ddim",
            spacing=self.spacing or config.sampling.spacing,
            noise_schedule=self.noise_schedule,
            antithetic=self.antithetic,
            mirror=self.mirror,
            cache=self.cache,
            levels=self.levels or (1 if self.by == "step" else levels),
        )


@dataclass(frozen=True, kw_only=True)
class SamplingPlan:
    """What is done for a batch.

    It stands beside `Options` because it is known later: the working size follows from the images, and what a budget
    buys, and how much is done at a time, from that size.

    Attributes:
        effort: steps, members, sampler.
        size: (height, width) at which the network works.
        native: of the images.
        chunk: network inputs at a time.
        codec_chunk: images at a time through the autoencoder.
        every: members of each image in a round; None = all in one.
        seconds: when to stop, after the call began; None = no deadline.
        choice: what a budget was turned into, in words; None without a budget.
        bound: what makes the spread of members an uncertainty; None = the spread itself.
    """

    effort: Effort
    size: tuple[int, int]
    native: tuple[int, int]
    chunk: int
    codec_chunk: int
    every: int | None = None
    seconds: float | None = None
    choice: str | None = None
    bound: ErrorBound | None = None

    @property
    def chunks(self) -> dict[str, int]:
        """Both, as a `BatchSampler` takes them."""
        return {"chunk": self.chunk, "codec_chunk": self.codec_chunk}

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) at which the images are seen at each level."""
        return level_sizes(self.size, self.native, self.effort.levels)


def refuse_unknown(given: Iterable[str], call: Callable[..., object]) -> None:
    """Refuse keywords that a call does not list, and suggest the nearest that it has.

    Raises:
        InputError: naming the first of them.
    """
    given = list(given)
    if not given:
        return
    parameters = inspect.signature(call).parameters.values()
    names = sorted(each.name for each in parameters if each.kind is not each.VAR_KEYWORD)
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, 1)
            allowed = f"{near[0]!r}, which is the nearest" if near else f"one of {', '.join(names)}"
            raise InputError(name, "an unknown argument", allowed)
