"""What a system learns from, for how long, and how: the part of a recipe that `train` reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lookharder.data.photometric import Photometric
from lookharder.diffusion.loss import LossForm
from lookharder.errors import InputError
from lookharder.training.optim import OptimConfig


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a system learns.

    Attributes:
        iterations: length of training, and the horizon of the learning-rate schedule.
        batch_size: examples an iteration, over all tasks.
        mix: share of the batch for each source; shares are made whole by largest remainder. A source is a task, or
            TASK/NAME where a task has several.
        weights: factor on the loss of a source, 1 where none is given; flow images have little contrast.
        seed: key of all randomness.
        time_shift: s > 1 trains more at high noise: u -> s u / (1 + (s - 1) u) for uniform u (2403.03206, eq. 23).
        multi_resolution_noise: strength of Marigold's multi-resolution noise, 0 for plain Gaussian noise.
        augment: mirror the examples, and recolour them.
        recolour: false = mirror alone, as DiT and Marigold do; None = as the task says: generation, whose target the
            picture is, mirrors alone.
        camera: in place of recolouring, pictures as other cameras see them; None = recolour.
        further_looks: share of the examples that are shown as a further look shows them, see `Task.further_look`.
        loss: "mse", or "edges" for what its answer in one step is to look like; see `diffusion.loss`.
    """

    iterations: int
    batch_size: int
    mix: Mapping[str, float]
    weights: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    time_shift: float = 1.0
    multi_resolution_noise: float = 0.0
    augment: bool = True
    recolour: bool | None = None
    camera: Photometric | None = None
    further_looks: float = 0.0
    loss: LossForm = "mse"
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.batch_size < 1:
            raise InputError(
                "iterations, batch_size", (self.iterations, self.batch_size), "1 or more"
            )
        if not self.mix or min(self.mix.values()) < 0 or sum(self.mix.values()) <= 0:
            raise InputError(
                "mix", dict(self.mix), "a share of 0 or more for each source, not all 0"
            )
        if unknown := sorted(set(self.weights) - set(self.mix)):
            raise InputError("weights", unknown, f"sources of the mix: {sorted(self.mix)}")
        if self.camera is not None and self.recolour is False:
            raise InputError("camera", "a camera", "none where pictures are not recoloured")
        if not 0 <= self.further_looks <= 1:
            raise InputError("further_looks", self.further_looks, "a share from 0 to 1")
        if self.time_shift <= 0:
            raise InputError("time_shift", self.time_shift, "a positive number")


def task_of(source: str) -> str:
    """The task of a source, TASK or TASK/NAME."""
    return source.partition("/")[0]
