"""Does the channels-last memory format pay in the convolutions of the stem and the head?

The shipped `sight` at its own size, forward alone and with the way back; the two layouts take turns in one process, and
their outputs must agree. On a busy machine read `cpu_ratio`, with OMP_NUM_THREADS=1.

    python -m benchmarks stem_layout [--batch 16] [--rounds 7] [--out stem_layout.json]
"""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.harness import machine, take_turns
from lookharder.files import write_json
from lookharder.models.dit import DiT
from lookharder.predict import Predictor
from lookharder.seeding import torch_generator

LAYOUTS = ("contiguous", "channels_last")


def plain(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """Undo the stem's choice: everything after a contiguous input is contiguous."""
    return (inputs[0].contiguous(),)


def hooked(network: DiT, layout: str) -> AbstractContextManager[object]:
    """The network in this layout, for as long as the context lasts."""
    assert network.stem is not None
    return (
        network.stem.first.register_forward_pre_hook(plain)
        if layout == "contiguous"
        else nullcontext()
    )


def run(*, batch: int = 16, rounds: int = 7, out: Path = Path("stem_layout.json")) -> None:
    chain = Predictor.from_pretrained("sight").chain
    network, config = chain.network, chain.config.model
    size = config.input_size
    shape = (batch, config.in_channels, size, size)
    x = torch.randn(shape, generator=torch_generator(0, "input"))
    t, y = torch.full((1,), 500.0), torch.zeros(1, dtype=torch.long)

    def forward(layout: str) -> Tensor:
        with hooked(network, layout), torch.inference_mode():
            result: Tensor = network(x, t, y)
        return result

    def training(layout: str) -> Tensor:
        network.zero_grad()
        with hooked(network, layout), torch.enable_grad():
            result: Tensor = network(x, t, y)
            result.square().mean().backward()
        return result.detach()

    network.requires_grad_(True)
    result: dict[str, object] = {"batch": batch, "size": size}
    for name, work in {"forward": forward, "training": training}.items():
        first, second = (work(layout) for layout in LAYOUTS)
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)
        times = take_turns({layout: partial(work, layout) for layout in LAYOUTS}, rounds)
        wall, cpu = times.medians(), times.cpu_medians()
        result[name] = {
            "seconds": wall,
            "cpu_seconds": cpu,
            "ratio": wall["contiguous"] / wall["channels_last"],
            "cpu_ratio": cpu["contiguous"] / cpu["channels_last"],
            "largest_difference": (first - second).abs().max().item(),
        }
        print(name, result[name], flush=True)
    write_json(out, result | machine())
