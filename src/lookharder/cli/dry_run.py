"""`lookharder train RECIPE --dry-run`: what a run is, costs and needs, and nothing is written."""

from dataclasses import replace

from lookharder.chain import ChainConfig, find
from lookharder.cli.terminal import show
from lookharder.config import read_as
from lookharder.data.source import sides_in, sides_of
from lookharder.hardware import MFU
from lookharder.training.cost import DEVICES, TrainingCost, codec_of, cost, cpu_peak
from lookharder.training.forecast import TrainingMemory, forecast
from lookharder.training.run_config import RunConfig, as_found
from lookharder.visualize.html import Table

NOTE = (
    f"Hours are at {MFU:.0%} of the device's dense bfloat16 peak, which is an assumption: latents from a cache, and "
    "with images encoded every time. This CPU's peak is that of one product of matrices, measured now. Memory is of "
    "one process on one device."
)


def dry_run(config: RunConfig) -> None:
    """Print what the run is, costs and needs.

    Raises:
        InputError: for a model to start from that is not there.
    """
    if config.init is not None and not config.surgery:
        # the run takes the system of that model over
        folder = find(config.init, "init")
        config = replace(config, chain=read_as(ChainConfig, folder / "config.json"))
    found = as_found(config)
    priced = cost(found)
    memories = {device: forecast(found, device=device) for device in ("cpu", "cuda")}
    rows = [*_what(config), *_price(priced), *_memory(memories)]
    show(f"{config.name}, not run", Table(columns=("part", "figure"), rows=rows), NOTE)


def _what(config: RunConfig) -> list[tuple[str, str]]:
    train, model, chain = config.train, config.chain.model, config.chain
    data = []
    for task, share in train.mix.items():
        data += [
            (f"data, {task}", f"{config.data[task].spec}, share {share:g}"),
            (f"size, {task}", _sides(config, task)),
        ]
    return [
        ("starts from", config.init or "random weights"),
        ("network", f"{model.depth} layers, width {model.hidden_size}, {model.num_heads} heads"),
        ("process", f"{chain.schedule.name}, {chain.prediction}"),
        *data,
        ("updates", f"{train.iterations:,} of {train.batch_size:,} examples"),
    ]


def _sides(config: RunConfig, task: str) -> str:
    """The size of its pictures and what that is in tokens: as the data have it, where they are on this machine."""
    found = sides_in(config.data[task])
    rows, columns = found or sides_of(config.data[task])
    cell = codec_of(config.chain).factor * config.chain.model.patch_size
    tokens = (rows // cell) * (columns // cell)
    told = "by the first example" if found else "as configured"
    return f"{rows} x {columns} pixels, {tokens:,} tokens, {told}"


def _price(priced: TrainingCost) -> list[tuple[str, str]]:
    hours = [
        (
            f"hours on one {device}",
            f"{priced.hours(device):.3g}, encoding {priced.hours(device, cached=False):.3g}",
        )
        for device in DEVICES
    ]
    peak = cpu_peak()
    on_cpu = priced.hours_at(peak), priced.hours_at(peak, cached=False)
    hours.append(("hours on this CPU", f"{on_cpu[0]:.3g}, encoding {on_cpu[1]:.3g}"))
    return [
        ("parameters", f"{priced.params:,}"),
        ("active parameters", f"{priced.active_params:,}"),
        ("MACs of a forward", f"{priced.macs:,}"),
        ("FLOPs of the run", f"{priced.flops:.3g}"),
        ("as 2411.08034 counts", f"{priced.paper_flops:.3g}"),
        ("FLOPs to encode", f"{priced.encode_flops:.3g}"),
        *hours,
    ]


def _memory(memories: dict[str, TrainingMemory]) -> list[tuple[str, str]]:
    return [
        (
            f"memory on {device}",
            f"{memory.peak / 1e9:.3g} GB, {memory.state / 1e9:.3g} of them weights and the optimiser's",
        )
        for device, memory in memories.items()
    ] + [("examples read ahead", f"{memories['cpu'].examples / 1e9:.3g} GB of the host's memory")]
