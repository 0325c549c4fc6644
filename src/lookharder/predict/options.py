"""The options of a call, documented and checked in one place; their names follow diffusers' Marigold pipelines."""

from dataclasses import dataclass
from typing import Any, get_args

import torch

from lookharder.chain import ChainConfig
from lookharder.diffusion.schedule import ScheduleName, Spacing
from lookharder.diffusion.steps import SamplerName
from lookharder.errors import InputError
from lookharder.predict.effort import Budget, Effort, Until
from lookharder.predict.inputs import check
from lookharder.predict.result import OutputType

MOST = 20  # draws where a rule says when to stop, and no number


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """What a caller may ask of a `Predictor`, beside the picture and the task.

    Attributes:
        second: the next frame, for flow; a picture or a list of them, as the image.
        mask: visible mask of the object that is meant, (H, W) bool, for amodal; likewise.
        num_inference_steps: denoising steps; None = the model's default.
        ensemble_size: draws; None = the model's default, or with `until` 20 at the most.
        processing_resolution: longest edge at which the network works; None = the model's, 0 = the picture's own.
        match_input_resolution: give the prediction at the picture's size.
        batch_size: network inputs at a time, at the most; fewer where memory is short.
        generator: source of the seed, drawn anew at each call; overrides `seed`.
        seed: key of the noise.
        output_type: "np" (channels last) or "pt" (channels second).
        output_uncertainty: also give the uncertainty; needs two draws or more.
        sampler: "ddim", "ddpm", "dpmpp-2m", "euler" or "heun"; None = "ddim".
        spacing: how the steps are spread, "trailing", "leading" or "linspace"; None = "trailing".
        noise_schedule: spread them as on another schedule; None = the model's own.
        antithetic: draws in pairs of opposite noise.
        cache: run all blocks of the network in every so many steps only: sooner, and a little different.
        budget: what one picture may cost: "2s", "5 GMACs", "500 MB". It picks steps, draws and sampler from the
            model's table of measured settings, so they must not be given beside it.
        until: stop at each picture when its answer is this certain: "0.01", "gain:0.001" (see `Until`).

    Raises:
        InputError: naming what is out of range, or contradicts another.
    """

    second: Any = None
    mask: Any = None
    num_inference_steps: int | None = None
    ensemble_size: int | None = None
    processing_resolution: int | None = None
    match_input_resolution: bool = True
    batch_size: int = 64
    generator: torch.Generator | None = None
    seed: int = 0
    output_type: OutputType = "np"
    output_uncertainty: bool = False
    sampler: SamplerName | None = None
    spacing: Spacing | None = None
    noise_schedule: ScheduleName | None = None
    antithetic: bool = False
    cache: int = 1
    budget: str | Budget | None = None
    until: str | Until | None = None

    def __post_init__(self) -> None:
        for name in ("num_inference_steps", "ensemble_size", "batch_size", "cache"):
            value = getattr(self, name)
            check(value is None or value >= 1, name, value, "1 or more")
        kinds = get_args(OutputType)
        check(self.output_type in kinds, "output_type", repr(self.output_type), f"one of {kinds}")
        for name in (
            "num_inference_steps",
            "ensemble_size",
            "sampler",
            "spacing",
            "noise_schedule",
        ):
            if self.budget is not None and getattr(self, name) is not None:
                raise InputError(
                    name, getattr(self, name), "nothing beside a budget, which picks it"
                )
        _ = self.limit, self.rule

    def effort(self, config: ChainConfig) -> Effort:
        """What is done for each picture, without a budget."""
        members = config.members if self.until is None else MOST
        return Effort(
            steps=self.num_inference_steps or config.steps,
            members=self.ensemble_size or members,
            sampler=self.sampler or "ddim",
            spacing=self.spacing or "trailing",
            noise_schedule=self.noise_schedule,
            antithetic=self.antithetic,
            cache=self.cache,
        )

    @property
    def limit(self) -> Budget | None:
        """The budget, parsed."""
        return Budget.parse(self.budget) if isinstance(self.budget, str) else self.budget

    @property
    def rule(self) -> Until | None:
        """The stopping rule, parsed."""
        return Until.parse(self.until) if isinstance(self.until, str) else self.until

    def key(self) -> int:
        """The seed; from a generator, its next one."""
        if self.generator is None:
            return self.seed
        return int(torch.randint(2**62, (), generator=self.generator))
