"""What a GPU is asked, in one command of at most nine minutes: are the answers right there, and how fast is it?

    python -m benchmarks gpu [--out gpu.json]               on a machine with a GPU
    python -m benchmarks gpu --device cpu --small           the same road at toy sizes, without one

    parity        networks of other implementations: their stored outputs, this device's, the host's
    answers       depth, flow and hidden objects by the shipped model, on the host and on the device
    training      images a second and MFU of XL/2 and of S/2 with 2 of 8 experts active, bfloat16 and compiled
    prediction    the generalist of size XL at 512 pixels: the released order of work, and ours, dense and with experts
    moe           the layer of experts against DiT-MoE's computation
    attention     of one layer, by tokens and number type
    merge         ten draws of 768 x 768
    memory        forecast of a prediction and of a training step, and the most that the allocator held

A part that finds no time left or no memory, or whose answers are wrong, says so in its place, and the others go on.
"""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from benchmarks import moe_layer, released_order
from benchmarks.harness import machine, take_turns
from benchmarks.merge import scene
from benchmarks.training_step import our_chain, our_step, timed_steps
from lookharder.chain import Chain, find
from lookharder.data.example import collate
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import DataConfig, open_data
from lookharder.files import write_json
from lookharder.hardware import peak_of
from lookharder.models.config import MoEConfig
from lookharder.models.flops import count
from lookharder.models.foreign.networks import load_network
from lookharder.predict.effort import Effort
from lookharder.predict.memory import peak_memory
from lookharder.predict.predictor import Predictor
from lookharder.recipes import smoke
from lookharder.tasks.merge.affine import merge_affine
from lookharder.training.distributed.runtime import RuntimeConfig
from lookharder.training.forecast import forecast
from lookharder.training.loop import start, train

PARITY = Path(__file__).parents[1] / "tests" / "fixtures" / "parity"
TOLERANCE = 1e-4  # of float32 outputs; of answers in [0, 1] or as a share of the frame
EXPERTS = MoEConfig(experts=8, active=2)

Part = Callable[[torch.device, bool], dict[str, Any]]  # device, at toy sizes


@torch.no_grad()
def parity(device: torch.device, small: bool) -> dict[str, Any]:
    """Largest differences of outputs, in float32 without TF32."""
    found = {}
    for path in sorted(PARITY.glob("*.safetensors")):
        tensors = load_file(path)
        if "input.x" not in tensors:
            continue  # of losses and scores, which have no network
        given = [tensors[f"input.{name}"] for name in ("x", "t", "y")]
        network = load_network(path)
        host = network(*given)
        there = network.to(device)(*(value.to(device) for value in given)).cpu()
        found[path.stem] = {
            "from_the_stored": (there - tensors["output"]).abs().max().item(),
            "from_the_host": (there - host).abs().max().item(),
        }
        assert found[path.stem]["from_the_stored"] <= TOLERANCE, found
    return found


def answers(device: torch.device, small: bool) -> dict[str, Any]:
    """Largest differences of what the shipped model answers."""
    example = ProceduralWorld(64, 1_000_003)[0]
    host, there = Predictor(Chain.load(find("tiny"))), Predictor(Chain.load(find("tiny")), device)
    found = {}
    for task, beside in (
        ("depth", {}),
        ("flow", {"second": example.second}),
        ("amodal", {"mask": example.visible}),
    ):
        options = {"task": task, "num_inference_steps": 4, "ensemble_size": 2, **beside}
        one, other = (predictor(example.image, **options).prediction for predictor in (host, there))
        unit = 64 if task == "flow" else 1
        found[task] = float(np.abs(np.subtract(one, other, dtype=np.float64)).max()) / unit
    return found


def training(device: torch.device, small: bool) -> dict[str, Any]:
    """Images a second and MFU = images/s * 6 * active MACs / peak."""
    peak = None if device.type == "cpu" else peak_of(torch.cuda.get_device_name(), "bfloat16")
    runtime = RuntimeConfig(precision="bfloat16", compiled=not small)
    found = {}
    for name, size, moe, batch in (("XL/2", "XL", None, 64), ("S/2-8E2A", "S", EXPERTS, 128)):
        chain, batch = our_chain("nano" if small else size, moe).to(device), 2 if small else batch
        step = our_step(chain, batch, runtime)
        seconds, _ = timed_steps({name: step}, batch, 2 if small else 8, device)
        rate = batch / float(np.median(seconds[name]))
        flops = 6 * count(chain.config.model, 32, 32).macs
        mfu = None if peak is None else rate * flops / peak
        found[name] = {
            "batch": batch,
            "images_per_second": rate,
            "flops_per_image": flops,
            "mfu": mfu,
        }
    return found


def prediction(device: torch.device, small: bool) -> dict[str, Any]:
    """Seconds, the released order of work over ours, and how far apart the answers are."""
    side = 32 if small else 512
    dense = released_order.of_size("nano" if small else "XL", side)
    chains = {"dense": dense, "experts": released_order.with_experts(dense, 8, 2)}
    effort = Effort(steps=2 if small else 10, members=2 if small else 4)
    batch, found = collate([ProceduralWorld(side, 1_000_003)[0]]), {}
    options = () if small else ("bf16",)
    for name, chain in chains.items():
        task = chain.task("depth")
        row = released_order.compare(chain.to(device), task, batch, effort, options, device, 2, 1)
        found[name] = {key: row[key] for key in ("seconds", "ratios", "distance_from_ours")}
    return found


def moe(device: torch.device, small: bool) -> dict[str, Any]:
    """What `moe_layer` says."""
    size = {"tokens": 64, "width": 32, "rounds": 2} if small else {"tokens": 16384, "width": 1152}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "moe.json"
        kind: Literal["cpu", "cuda"] = "cuda" if device.type == "cuda" else "cpu"
        moe_layer.run(**size, device=kind, dtype="fp32" if small else "bf16", out=out)
        found: dict[str, Any] = json.loads(out.read_text())
    return {key: found[key] for key in ("seconds", "ratios", "largest_relative_difference")}


def attention(device: torch.device, small: bool) -> dict[str, Any]:
    """Seconds and FLOP/s of 16 heads of 72."""
    found = {}
    for tokens in (16, 64) if small else (256, 1024, 4096):
        sides = {}
        for kind in (torch.float32, torch.bfloat16):
            shape = (3, max(1, 16384 // tokens) if not small else 1, 16, tokens, 72)
            q, k, v = torch.randn(shape, device=device, dtype=kind)
            sides[str(kind).removeprefix("torch.")] = partial(
                F.scaled_dot_product_attention, q, k, v
            )
        times = take_turns(sides, 3 if small else 20, device=device.type).medians()
        flops = 4 * shape[1] * 16 * tokens**2 * 72
        found[str(tokens)] = {
            k: {"seconds": s, "flops_per_second": flops / s} for k, s in times.items()
        }
    return found


def merge(device: torch.device, small: bool) -> dict[str, Any]:
    """Seconds on the host and on the device, and how far apart the maps are."""
    _, draws = scene(0, 64 if small else 768, 4 if small else 10)
    there = draws.to(device)
    host, merged = merge_affine(draws)[0], merge_affine(there)[0].cpu()
    sides = {"host": lambda: merge_affine(draws), "device": lambda: merge_affine(there)}
    times = take_turns(sides, 3, device=device.type)
    return {"seconds": times.medians(), "distance": (host - merged).abs().max().item()}


def memory(device: torch.device, small: bool) -> dict[str, Any]:
    """Bytes that were forecast, and those that the allocator held at most."""
    side, size = (32, "nano") if small else (512, "XL")
    chain = released_order.of_size(size, side)
    predictor = Predictor(chain, device)
    image = ProceduralWorld(side, 1)[0].image
    held = most(
        device, lambda: predictor(image, task="depth", num_inference_steps=2, ensemble_size=1)
    )
    found = {
        "prediction": {"forecast": peak_memory(chain, (side, side), 2).peak, "allocator": held}
    }
    base, data = smoke(), DataConfig(spec="procedural:8:1", size=side)
    optim = replace(base.train, iterations=2, batch_size=2 if small else 8, mix={"depth": 1.0})
    config = replace(
        base, chain=chain.config, data={"depth": data}, train=optim, device=device.type,
        runtime=RuntimeConfig(precision="bfloat16"),
    )  # fmt: skip
    world = open_data(data)
    held = most(device, lambda: list(train(optim, start(chain, optim), chain, {"depth": world})))
    found["training"] = {"forecast": forecast(config, device=device.type).peak, "allocator": held}
    return found


def most(device: torch.device, work: Callable[[], object]) -> int | str:
    """Bytes that the allocator held at most while something was done."""
    if device.type == "cpu":
        work()
        return "not measured: the host's allocator does not say"
    torch.cuda.reset_peak_memory_stats()
    work()
    return torch.cuda.max_memory_allocated()


PARTS: tuple[Part, ...] = (parity, answers, training, prediction, moe, attention, merge, memory)


def run(
    *,
    device: Literal["cuda", "cpu"] = "cuda",
    small: bool = False,
    minutes: float = 8.0,
    out: Path = Path("gpu.json"),
) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        print("not measured: no GPU")
        return
    torch.backends.cudnn.allow_tf32 = False  # of convolutions; of matrices it is off by default
    began, found = time.monotonic(), {}
    for part in PARTS:
        name, asked = part.__name__, time.monotonic()
        if asked - began > 60 * minutes:
            found[name] = "not measured: no time left"
        else:
            try:
                found[name] = part(torch.device(device), small)
            except torch.OutOfMemoryError as error:
                found[name] = f"not measured: {str(error).splitlines()[0]}"
            except (AssertionError, RuntimeError) as error:  # the other parts are worth having
                found[name] = f"failed: {error}"
            if device == "cuda":
                torch.cuda.empty_cache()
        seconds = time.monotonic() - asked
        print(f"{name} ({seconds:.0f} s): {found[name]}", flush=True)
        write_json(
            out, {"what": "a GPU's answers and speed", "small": small, **found, **machine(device)}
        )
    if failed := [name for name, result in found.items() if str(result).startswith("failed")]:
        raise SystemExit(f"failed: {', '.join(failed)}")
