"""Everything that `config.json` of a model says: its tasks, its parts, and what it does by default."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lookharder.diffusion.denoiser import PredictionType, Told
from lookharder.diffusion.sampling import Sampling
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.errors import InputError
from lookharder.models.config import DiTConfig
from lookharder.tasks.registry import AnyTask

FitName = Literal["inside", "square"]


@dataclass(frozen=True, kw_only=True)
class ChainConfig:
    """Everything that `config.json` of a model says.

    Attributes:
        model: the network.
        autoencoder: configuration of the autoencoder, as its `config()` gives it.
        tasks: the tasks of the model, in the order of their label rows.
        schedule: noise schedule of training.
        prediction: what the network predicts: "eps", "x0" or "v".
        input_scale: factor on the noisy latent before it enters the network; see `Denoiser`.
        told: what the network is told of the time; see `Denoiser`.
        resolution: longest edge at which the model was trained, pixels.
        fit: how a picture is brought to it: "inside" keeps its shape, "square" makes both edges that long.
        sampling: where the steps lie and how they end, unless a caller says otherwise.
        steps: denoising steps by default.
        members: draws by default.
    """

    model: DiTConfig
    autoencoder: Mapping[str, Any]
    tasks: tuple[AnyTask, ...]
    schedule: NoiseSchedule
    prediction: PredictionType
    resolution: int
    input_scale: float = 1.0
    told: Told = "step"
    steps: int = 4
    members: int = 1
    fit: FitName = "inside"
    sampling: Sampling = field(default_factory=Sampling)

    @property
    def sources(self) -> int:
        """S, latents beside the noisy one in the network's input: as many as its task with the most needs."""
        return self.model.in_channels // self.model.predicted - 1

    def __post_init__(self) -> None:
        names = [task.name for task in self.tasks]
        if len(set(names)) != len(names) or not names:
            raise InputError("tasks", names, "one or more tasks, each once")
        most = {"resolution": 2**14, "steps": self.schedule.steps, "members": 10_000}
        for name, largest in most.items():
            if not 1 <= getattr(self, name) <= largest:
                raise InputError(name, getattr(self, name), f"1 to {largest}")
        rows = sum(task.label_rows for task in self.tasks)
        if len(self.model.routes) != rows:
            raise InputError(
                "model.routes", f"{len(self.model.routes)} rows", f"{rows}, one for each field"
            )
