"""What a model is and what it costs, known before it runs: `lookharder inspect MODEL`.

    parameters, MACs    in closed form (`models.flops`); the autoencoder's are its own
    a prediction        S encodings + N F (T forwards + a decoding)        of one image: N members, F fields, T steps
    memory              `memory`

Everything is a figure of the `Inspection` first, and a row of a table after.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from lookharder.chain import Chain, ChainConfig
from lookharder.config import to_json
from lookharder.errors import InputError
from lookharder.models.flops import Cost, breakdown, count
from lookharder.predict.memory import PeakMemory, peak_memory
from lookharder.tasks.base import Task
from lookharder.visualize.html import Table


@dataclass(frozen=True, kw_only=True)
class LabelRows:
    """Rows `first` to `last` of the label table.

    Attributes:
        meaning: classes, a task (and which field of it), or null.
        embedding: the patch embedding that they use.
    """

    first: int
    last: int
    meaning: str
    embedding: int


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A model at work on a square image.

    Attributes:
        config: architecture, tasks, process and defaults, as `config.json` has them.
        side: height and width of the image, pixels.
        latent: (c, h, w) of its latent.
        tokens: patches of a latent, L.
        network: cost of the network, one forward of one sample.
        groups: the same by group of layers.
        autoencoder_params: parameters of the autoencoder.
        encode_macs: to encode one image.
        decode_macs: to decode one image.
        steps: denoising steps of a prediction.
        members: of a prediction.
        prediction_macs: by task, the network's and the autoencoder's.
        labels: the label table, in order.
        memory: what a prediction needs, one member at a time.
    """

    config: ChainConfig
    side: int
    latent: tuple[int, int, int]
    tokens: int
    network: Cost
    groups: Mapping[str, Cost]
    autoencoder_params: int
    encode_macs: int
    decode_macs: int
    steps: int
    members: int
    prediction_macs: Mapping[str, int]
    labels: tuple[LabelRows, ...]
    memory: PeakMemory


def inspect(
    chain: Chain,
    resolution: int | None = None,
    steps: int | None = None,
    members: int | None = None,
) -> Inspection:
    """What a system is and what it costs.

    Args:
        chain: the system.
        resolution: side of the image, pixels, brought to the nearest that the network takes; None = the model's.
        steps: denoising steps; None = the model's default.
        members: how many are merged; None = the model's default.

    Raises:
        InputError: a resolution below one patch.
    """
    config, codec, multiple = chain.config, chain.autoencoder, chain.multiple
    resolution = config.resolution if resolution is None else resolution
    steps = config.steps if steps is None else steps
    members = config.members if members is None else members
    if resolution < multiple:
        raise InputError("resolution", resolution, f"{multiple} or more")
    side = round(resolution / multiple) * multiple
    cells = side // codec.factor
    forward = count(config.model, cells, cells)
    encode, decode = codec.macs(side, side)

    def prediction(task: Task) -> int:
        return task.sources * encode + members * task.fields * (steps * forward.macs + decode)

    weights = codec.parameters() if isinstance(codec, nn.Module) else ()
    return Inspection(
        config=config,
        side=side,
        latent=(codec.channels, cells, cells),
        tokens=(cells // config.model.patch_size) ** 2,
        network=forward,
        groups=breakdown(config.model, cells, cells),
        autoencoder_params=sum(value.numel() for value in weights),
        encode_macs=encode,
        decode_macs=decode,
        steps=steps,
        members=members,
        prediction_macs={task.name: prediction(task) for task in config.tasks},
        labels=label_rows(config),
        memory=peak_memory(chain, (side, side), steps),
    )


def label_rows(config: ChainConfig) -> tuple[LabelRows, ...]:
    """The label table: classes, a row for each field of each task, null."""
    model = config.model
    meanings = [
        task.name if task.label_rows == 1 else f"{task.name}, field {field + 1} of {task.fields}"
        for task in config.tasks
        for field in range(task.label_rows)
    ]
    first, null = model.num_classes, model.null_label
    rows = [
        LabelRows(first=first + i, last=first + i, meaning=meaning, embedding=embedding)
        for i, (meaning, embedding) in enumerate(zip(meanings, model.routes, strict=True))
    ]
    classes = [LabelRows(first=0, last=first - 1, meaning="classes of images", embedding=0)]
    return (
        *(classes if first else ()),
        *rows,
        LabelRows(first=null, last=null, meaning="null: no label", embedding=0),
    )


def tables(inspection: Inspection) -> dict[str, Table]:
    """What to print: title -> table."""
    return {
        "Model": Table(columns=("part", "what it is"), rows=_parts(inspection)),
        "Labels": Table(
            columns=("rows", "meaning", "patch embedding"),
            rows=[
                (_span(row.first, row.last), row.meaning, str(row.embedding))
                for row in inspection.labels
            ],
        ),
        f"Cost at {inspection.side} x {inspection.side} pixels": Table(
            columns=("part", "parameters", "active", "MACs"), rows=_costs(inspection)
        ),
        "Memory, float32, one member at a time": Table(
            columns=("part", "MB"), rows=_megabytes(inspection.memory)
        ),
    }


def _parts(inspection: Inspection) -> list[tuple[str, str]]:
    config, model = inspection.config, inspection.config.model
    schedule, (c, h, w), moe = config.schedule, inspection.latent, config.model.moe
    norms, terminal = " with q and k norms", ", zero terminal SNR"
    experts = "none"
    if moe is not None:
        experts = f"{moe.experts}, {moe.active} active, {moe.expert}, shared width {moe.shared} D"
    return [
        ("layers", f"{model.depth}, width {model.hidden_size}, MLP {model.mlp_hidden}"),
        ("attention", f"{model.num_heads} heads{norms if model.qk_norm else ''}"),
        ("experts", experts),
        ("autoencoder", _settings(config.autoencoder)),
        ("latent", f"{c} x {h} x {w}, {inspection.tokens} tokens of patch {model.patch_size}"),
        ("schedule", f"{schedule.name}, {schedule.steps} steps"
         f"{terminal if schedule.zero_terminal_snr else ''}"),
        ("prediction", f"{config.prediction}, input scale {config.input_scale:g}"),
        ("by default", f"steps {config.steps}, members {config.members}, {config.resolution} pixels"),
        *((f"task {task.name}", _settings(to_json(task))) for task in config.tasks),
    ]  # fmt: skip


def _costs(inspection: Inspection) -> list[tuple[str, ...]]:
    whole, codec = inspection.network, inspection.autoencoder_params
    encode, decode = inspection.encode_macs, inspection.decode_macs
    rows: list[tuple[str, ...]] = [
        (name, *_numbers(cost)) for name, cost in inspection.groups.items()
    ]
    rows += [
        ("network, a forward", *_numbers(whole)),
        ("autoencoder, encoding", *_numbers(Cost(params=codec, active_params=codec, macs=encode))),
        ("autoencoder, decoding", "", "", f"{decode:,}"),
    ]
    way = f"steps {inspection.steps}, members {inspection.members}"
    for task, macs in inspection.prediction_macs.items():
        rows.append((f"{task}, {way}", "", "", f"{macs:,}"))
    return rows


def _numbers(cost: Cost) -> tuple[str, str, str]:
    return f"{cost.params:>13,}", f"{cost.active_params:,}", f"{cost.macs:,}"


def _megabytes(memory: PeakMemory) -> list[tuple[str, str]]:
    return [
        (name, f"{value / 1e6:>12,.1f}")
        for name, value in (
            ("weights", memory.weights),
            ("while encoding", memory.encode),
            ("while the network runs", memory.network),
            ("while decoding", memory.decode),
            ("peak", memory.peak),
        )
    ]


def _settings(values: Mapping[str, Any]) -> str:
    """The kind of an autoencoder and settings by name, those that are set; a task is named beside."""
    shown = [str(value) for key, value in values.items() if key == "kind"]
    named = {k: v for k, v in values.items() if k not in ("kind", "name") and v is not None}
    return ", ".join([*shown, *(f"{key} {value}" for key, value in named.items())])


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"
