"""A model as ONNX graphs, for what runs without torch: one call of the denoiser, and the autoencoder.

    denoiser.onnx    x_t (B, c, h, w), condition (B, S c, h, w), t (1,), label (1,)  ->  x0, eps (B, c, h, w)
    encoder.onnx     images (B, 3, H, W) in [-1, 1]  ->  latents (B, c, H / f, W / f)
    decoder.onnx     latents (B, c, h, w)  ->  images (B, 3, h f, w f)
    manifest.json    what they are: sides, labels of the tasks, the steps that the model takes, what was checked

Batch, height and width are free; time and label are one for the whole batch, as in the sampler. A DDIM step is two
products, x_s = alpha_s x0 + sigma_s eps, and the manifest has alpha and sigma of every step.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lookharder.chain import Chain
from lookharder.config import to_json
from lookharder.errors import InputError
from lookharder.files import check_new, new_folder, write_json
from lookharder.models.moe import Experts
from lookharder.seeding import torch_generator

OPSET = 18
TOLERANCE = 1e-4  # of an output, against torch, relative to its largest number
TRACED, CHECKED = (2, 3, 4), (1, 4, 3)  # batch, and height and width in units of the least size


class TracedFunction(nn.Module):
    """A function as a module; the modules whose weights it uses are its own."""

    def __init__(self, function: Callable[..., Any], *owned: object) -> None:
        super().__init__()
        self.function = function
        self.owned = nn.ModuleList(each for each in owned if isinstance(each, nn.Module))

    def forward(self, *inputs: Tensor) -> Any:
        """What the function gives."""
        return self.function(*inputs)


def export(chain: Chain, out: Path, name: str) -> dict[str, Any]:
    """Write the graphs of a model, checked against torch at another batch and size than they were traced at.

    Args:
        chain: the model, on the CPU; experts are switched to the way whose shapes depend on no data, where every expert
            sees every token.
        out: the folder, new or empty; whole or not there.
        name: of the model, for the manifest.

    Returns:
        The manifest.

    Raises:
        InputError: onnx, onnxscript or onnxruntime is not installed, or `out` holds something.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  what torch exports by
    except ImportError as error:
        allowed = "an environment with both: pip install 'lookharder[onnx]'"
        raise InputError("--to", "'onnx' without onnxruntime and onnxscript", allowed) from error
    check_new(out)
    for module in chain.network.modules():
        if isinstance(module, Experts):
            module.config = replace(module.config, backend="padded_bmm")
    checks = {}
    with new_folder(out) as folder, torch.no_grad(), _quiet():
        for file, (graph, names, inputs) in _graphs(chain).items():
            path = folder / f"{file}.onnx"
            _trace(graph, names, inputs(TRACED), path)
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            checks[file] = _difference(graph, session, inputs(CHECKED))
        manifest = _manifest(chain, name) | {"largest_difference": checks, "tolerance": TOLERANCE}
        write_json(folder / "manifest.json", manifest)
    return manifest


Inputs = Callable[[Sequence[int]], tuple[Tensor, ...]]


def _graphs(chain: Chain) -> dict[str, tuple[TracedFunction, tuple[list[str], list[str]], Inputs]]:
    """Each graph, the names of its inputs and outputs, and inputs of a batch and sides in units."""
    codec, denoiser = chain.autoencoder, chain.denoiser
    unit = chain.multiple // codec.factor  # of latents, in cells
    last = torch.tensor([chain.config.schedule.steps - 1])
    label = torch.tensor([chain.config.model.num_classes])  # of the first task
    denoiser.schedule.at(last, torch.zeros(1))  # its tables are made before they are traced
    denoiser.schedule.alpha(last)

    def denoise(x_t: Tensor, condition: Tensor, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        found = denoiser(x_t, t, condition, y)
        return found.x0, found.eps

    def noise(channels: int, scale: int, shape: Sequence[int]) -> Tensor:
        batch, rows, columns = shape
        generator = torch_generator("export", channels)
        return torch.randn(batch, channels, rows * scale, columns * scale, generator=generator)

    c, sources = codec.channels, chain.config.sources * codec.channels
    return {
        "denoiser": (
            TracedFunction(denoise, chain.network),
            (["x_t", "condition", "t", "label"], ["x0", "eps"]),
            lambda shape: (noise(c, unit, shape), noise(sources, unit, shape), last, label),
        ),
        "encoder": (
            TracedFunction(codec.encode, codec),
            (["images"], ["latents"]),
            lambda shape: (noise(3, chain.multiple, shape).clamp(-1, 1),),
        ),
        "decoder": (
            TracedFunction(codec.decode, codec),
            (["latents"], ["images"]),
            lambda shape: (noise(c, unit, shape),),
        ),
    }


def _trace(
    graph: TracedFunction,
    names: tuple[list[str], list[str]],
    inputs: tuple[Tensor, ...],
    path: Path,
) -> None:
    free = dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)
    shapes = tuple(free if each.ndim == 4 else None for each in inputs)
    program = torch.onnx.export(
        graph.eval(),
        inputs,
        dynamo=True,
        dynamic_shapes=(shapes,),  # of the one argument, *inputs
        input_names=names[0],
        output_names=names[1],
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None
    program.save(str(path))


def _difference(graph: TracedFunction, session: Any, inputs: tuple[Tensor, ...]) -> float:
    """Of ONNX Runtime and torch, relative to the largest number of an output."""
    wanted = graph(*inputs)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    named = {
        each.name: value.numpy() for each, value in zip(session.get_inputs(), inputs, strict=True)
    }
    found = session.run(None, named)
    ours = [each.numpy() for each in wanted]
    off = max(
        float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, ours, strict=True)
    )
    if not off <= TOLERANCE:
        raise AssertionError(f"the graph differs from torch by {off:.2g}, relative")
    return off


def _manifest(chain: Chain, name: str) -> dict[str, Any]:
    """What a program needs to know to use the graphs."""
    config, codec = chain.config, chain.autoencoder
    times = config.sampling.times(config.schedule, config.steps, config.sampling.spacing)
    row, tasks = config.model.num_classes, []
    for task in config.tasks:
        given = [each.argument for each in task.inputs]
        labels = list(range(row, row + task.label_rows))
        tasks.append({"name": task.name, "sources": ["image", *given], "labels": labels})
        row += task.label_rows
    points = [(t, *config.schedule.alpha_sigma(t)) for t in times]
    steps = [{"t": t, "alpha": alpha, "sigma": sigma} for t, alpha, sigma in points]
    return {
        "model": name,
        "opset": OPSET,
        "sides": f"multiples of {chain.multiple} pixels",
        "pixels_per_cell": codec.factor,
        "latent_channels": codec.channels,
        "condition_channels": config.sources * codec.channels,
        "resolution": config.resolution,
        "tasks": tasks,
        "steps": steps,
        "config": to_json(config),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of packages that are not needed here, and warns of what torch itself does."""
    told = logging.getLogger("torch.onnx")
    before = told.level
    told.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        told.setLevel(before)
