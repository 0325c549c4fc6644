"""The chain joins the four parts of a system: tasks, autoencoder, network and noise process.

    condition  (B, S c, h, w)      what the answer depends on, as latents, beside the noisy target
    target     (B, F, c, h, w)     the annotation as latents, F fields
    labels     (B, F)              which task (or class) each field is

Training and prediction use the same three translations, so they cannot disagree about what the network sees. Labels:
rows 0..classes-1 are classes of pictures, then one row per field of each task in the configuration's order, then null.
"""

import math
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lookharder import autoencoder
from lookharder.chain.config import ChainConfig, FitName
from lookharder.chain.hub import find_on_hub
from lookharder.config import read_as, to_json
from lookharder.data.example import Batch
from lookharder.diffusion.denoiser import Denoiser
from lookharder.errors import InputError
from lookharder.files import atomic, write_json
from lookharder.models.dit import DiT, DiTConfig
from lookharder.models.flops import count
from lookharder.shapes import Latents
from lookharder.tasks.base import Task
from lookharder.tasks.registry import AnyTask
from lookharder.tensors import Shapes, read_tensors, shapes_of, write_tensors

__all__ = ["Chain", "ChainConfig", "FitName", "default_model", "find", "routes", "write_model"]

WEIGHTS = Path(__file__).parent.parent / "weights"  # models shipped with the package
DEFAULT = "sight"  # which of them is used where none is named,
BETTER = {"flow": "tiny"}  # and for tasks at which another is better on real pictures


def default_model(task: str | None = None) -> str:
    """The shipped model that is used where none is named: the one that is best at the task on real pictures."""
    return BETTER.get(task or "", DEFAULT)


def find(path_or_name: str | Path, argument: str = "--model") -> Path:
    """The folder of a model: any on this machine, one shipped with the package, or `org/name` of the hub's cache.

    Args:
        path_or_name: what the caller was given.
        argument: what an error calls it.

    Raises:
        InputError: where there is neither.
    """
    shipped = sorted(path.parent.name for path in WEIGHTS.glob("*/config.json"))
    if str(path_or_name) in shipped:
        return WEIGHTS / str(path_or_name)
    if Path(path_or_name).is_dir():
        return Path(path_or_name)
    cached = find_on_hub(str(path_or_name), argument)
    if cached is None:
        allowed = f"a model folder or one of {shipped}; org/name of the hub with --allow-download"
        raise InputError(argument, repr(str(path_or_name)), allowed)
    return cached


def write_model(
    folder: Path, config: ChainConfig, network: DiT, card: str, half: bool = False
) -> None:
    """Write a model folder whose autoencoder is elsewhere; arguments as in `Chain.save`."""
    kind = torch.float16 if half else torch.float32
    weights = {
        name: value.detach().to("cpu", kind).contiguous()
        for name, value in network.state_dict().items()
    }
    write_tensors(folder / "model.safetensors", weights)
    write_json(folder / "config.json", to_json(config))
    with atomic(folder / "README.md") as aside:
        aside.write_bytes(card.encode(errors="replace"))  # a folder's name may be no text


def routes(tasks: tuple[Task, ...]) -> tuple[int, ...]:
    """One patch embedding for each task, shared by its fields; embedding 0 is generation's."""
    perception = [task for task in tasks if task.label_rows]
    return tuple(i + 1 for i, task in enumerate(perception) for _ in range(task.label_rows))


class Chain:
    """A system, ready to train or to predict."""

    def __init__(self, config: ChainConfig, network: DiT, codec: autoencoder.Autoencoder) -> None:
        self.config = config
        self.network = network
        self.autoencoder = codec
        self.tasks: dict[str, Task] = {task.name: task for task in config.tasks}
        self.denoiser = Denoiser(
            network=network,
            schedule=config.schedule,
            prediction=config.prediction,
            learned_variance=config.model.learn_sigma,
            input_scale=config.input_scale,
            told=config.told,
            clip_x0=config.sampling.clip_x0,
        )
        most = max(task.sources for task in config.tasks)
        least = (most + 1) * codec.channels
        inputs, predicted = config.model.in_channels, config.model.predicted
        if predicted != codec.channels or inputs < least or inputs % codec.channels:
            got = f"{inputs}, of which {predicted} are predicted"
            allowed = f"{least}, {most} sources + 1 target, or whole latents more"
            raise InputError("model.in_channels", got, allowed)

    @classmethod
    def build(
        cls, config: ChainConfig, generator: torch.Generator, folder: Path | None = None
    ) -> "Chain":
        """A system with fresh weights drawn from `generator`; `folder` holds the autoencoder's weights, if any."""
        return cls(
            config,
            DiT(config.model, generator=generator),
            autoencoder.build(dict(config.autoencoder), folder),
        )

    def save(self, folder: Path, card: str, half: bool = False) -> None:
        """Write a model folder: `config.json`, `model.safetensors`, `README.md` (the card); a Tiny travels along.

        Args:
            folder: where; made if absent, in a folder that exists; its files are replaced.
            card: text of the model card.
            half: store weights in float16; they are computed with in float32 all the same.
        """
        folder.mkdir(exist_ok=True)
        write_model(folder, self.config, self.network, card, half)
        if isinstance(self.autoencoder, autoencoder.Tiny):
            self.autoencoder.save(folder / "autoencoder")

    @classmethod
    def load(cls, folder: Path) -> "Chain":
        """Read a model folder, strictly.

        Raises:
            InputError: for a missing file, a configuration that is not ours, or weights that do not fit it.
        """
        for name in ("config.json", "model.safetensors"):
            if not (folder / name).is_file():
                raise InputError(
                    "model",
                    f"{folder} without {name}",
                    "a folder with config.json and model.safetensors",
                )
        config, path = read_as(ChainConfig, folder / "config.json"), folder / "model.safetensors"
        network = _network_of(config.model, shapes_of(path), path)
        weights, _ = read_tensors(path)
        # copied out of the file's memory: unaligned weights take other kernels, with other last bits
        state = {name: value.to(torch.float32, copy=True) for name, value in weights.items()}
        network.load_state_dict(state, assign=True)
        return cls(config, network.eval(), autoencoder.build(dict(config.autoencoder), folder))

    def to(self, device: torch.device) -> "Chain":
        """Move the network and the autoencoder; returns itself."""
        self.network.to(device)
        if isinstance(self.autoencoder, torch.nn.Module):
            self.autoencoder.to(device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @property
    def multiple(self) -> int:
        """Height and width of an image must be multiples of this many pixels."""
        return self.autoencoder.factor * self.config.model.patch_size

    def task(self, name: str) -> Task:
        """The task of that name, or a clear error."""
        if name not in self.tasks:
            raise InputError("task", repr(name), f"one of {sorted(self.tasks)}")
        return self.tasks[name]

    def with_task(self, task: AnyTask) -> "Chain":
        """The same network with another form of one of its tasks, say `replace(depth, output="disparity")`."""
        tasks = tuple(task if own.name == task.name else own for own in self.config.tasks)
        return Chain(replace(self.config, tasks=tasks), self.network, self.autoencoder)

    def condition(self, task: Task, batch: Batch, chunk: int | None = None) -> Latents:
        """Source images as latents, each encoded once, `chunk` at a time, (B, S c, h, w); what is not given is zero."""
        sources = task.condition(batch)  # (B, S, 3, H, W)
        return self.padded(_encode(self.autoencoder, sources, chunk).flatten(1, 2))

    def padded(self, condition: Float[Tensor, "B k h w"]) -> Float[Tensor, "B K h w"]:
        """As many latents as the network has sources: of a task with fewer the others are zero."""
        missing = self.config.sources * self.autoencoder.channels - condition.shape[1]
        return F.pad(condition, (0, 0, 0, 0, 0, missing))  # what is too much is zero already

    def target(
        self, task: Task, batch: Batch
    ) -> tuple[Float[Tensor, "B F c h w"], Bool[Tensor, "B 1 h w"]]:
        """The annotation as latents, and the latent cells all of whose pixels are known."""
        target = task.to_image(batch)
        unknown = (~target.known[:, None]).float()
        return (
            _encode(self.autoencoder, target.images),
            F.max_pool2d(unknown, self.autoencoder.factor) == 0,
        )

    def check_labels(self, labels: Int[Tensor, "B"], where: str) -> None:
        """Refuse a class that the network does not have: its row would be another task's, or none.

        Raises:
            InputError: naming `where`, the first such label, and the classes.
        """
        classes = self.config.model.num_classes
        wrong = labels[(labels < 0) | (labels >= classes)].tolist()
        if wrong:
            allowed = (
                f"0 to {classes - 1}, the model's classes" if classes else "a model of classes"
            )
            raise InputError(where, f"label {wrong[0]}", allowed)

    def labels(self, task: Task, batch: Batch) -> Int[Tensor, "B F"]:
        """Label row of each field."""
        if not task.label_rows:
            return batch.need("label")[:, None]
        row = self.config.model.num_classes
        for other in self.config.tasks:
            if other.name == task.name:
                break
            row += other.label_rows
        rows = torch.arange(row, row + task.label_rows, device=batch.image.device)
        return rows.expand(batch.image.shape[0], -1)


def _network_of(config: DiTConfig, found: Shapes, path: Path) -> DiT:
    """The network of a configuration, without weights, if a file has these and no others.

    They are counted first: a configuration that asks for more than the file holds is never built.
    """
    patch = config.patch_size
    wanted, held = count(config, patch, patch).params, sum(map(math.prod, found.values()))
    if wanted != held:
        got = f"{held:,} parameters, where config.json has {wanted:,}"
        raise InputError(str(path), got, "the weights of config.json")
    with torch.device("meta"):
        network = DiT(config)
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if wrong := sorted(k for k in expected | dict(found) if expected.get(k) != found.get(k)):
        got = f"missing, unexpected or misshapen {wrong}"
        raise InputError(str(path), got, "the weights of config.json")
    return network


def _encode(
    codec: autoencoder.Autoencoder, images: Float[Tensor, "B K 3 H W"], chunk: int | None = None
) -> Float[Tensor, "B K c h w"]:
    """Encode K images of each item, `chunk` at a time; K = 0 gives an empty tensor of the right size."""
    batch, count, _, height, width = images.shape
    if count == 0:
        return images.new_zeros(
            batch, 0, codec.channels, height // codec.factor, width // codec.factor
        )
    parts = images.flatten(0, 1).split(chunk or batch * count)
    encoded = torch.cat([codec.encode(part) for part in parts])
    latents: Tensor = encoded.unflatten(0, (batch, count))
    return latents
