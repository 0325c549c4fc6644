"""Model folders from other weights, checked while they are made: published files in, dense models upcycled.

    convert    a published file -> a folder that predicts
               DiT, DiT-MoE     know classes only: they become the start of a generalist, a label and a patch embedding
                                for each task, inputs widened to condition and noisy latent; it generates exactly as
                                before, and its tasks wait for training
               SiT              the same tensors: told by the name of the file or `--from sit`; it learnt the velocity
                                of the straight line, in a time that is the share of the clean latent
               DiT-MoE from XL  trained by rectified flow: the same, in a time that is the share of noise
               the release      knows its four tasks already
    upcycle    a dense model folder -> the same function with experts

Whatever is claimed of the result is measured on it: `Report.checks` holds what was found.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from lookharder.autoencoder import KLConfig, Pixel
from lookharder.chain import Chain, ChainConfig, routes, write_model
from lookharder.chain.card import front_matter, read_card, write_card
from lookharder.config import to_json
from lookharder.diffusion.sampling import USABLE, Sampling
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.errors import InputError
from lookharder.files import check_new, new_folder, write_json
from lookharder.models.dit import DiT
from lookharder.models.flops import count
from lookharder.models.foreign.layouts import LAYOUTS
from lookharder.models.foreign.networks import Imported, export_state, import_network
from lookharder.models.foreign.recognition import ASSUMED, LICENCES, STRAIGHT, name_of, recognised
from lookharder.models.surgery import (
    deviation,
    extend_labels,
    route_patch_embedding,
    upcycle,
    velocity,
    widen_input,
)
from lookharder.seeding import torch_generator
from lookharder.tasks.amodal import Amodal
from lookharder.tasks.base import SOURCES, Task
from lookharder.tasks.depth import Depth
from lookharder.tasks.flow import Flow
from lookharder.tasks.registry import GENERALIST

SD_VAE = "stabilityai/sd-vae-ft-ema"  # the latents of DiT and of all that was trained from it
RELEASED: tuple[Task, ...] = (  # rows 1000 depth, 1001 amodal, 1002 and 1003 flow
    Depth(prompt="validity"),
    Amodal(),
    Flow(layout="split", limit=75.0, limit_unit="pixels"),
)
RELEASED_ROUTES = (0, 1, 2, 3)  # one for each label: the two fields of flow do not share theirs
MERGED = {"depth": "released", "amodal": "median", "flow": "mean"}  # by the release's program
# of the scheduler's file: steps_offset = 1, set_alpha_to_one = false
AS_RELEASED = Sampling(spacing="leading+1", final="first")
KNOWN = {
    False: "Settings of the paper's text: eps-prediction on the cosine schedule, leading spacing, 50 steps, 5 draws.",
    True: "Settings of the release's program. Read in it: 50 steps whatever is asked, 5 draws, squares; depth aligned "
    "on maps of 50 pixels, flow by the mean, objects by the median of colours; DDIM by the scheduler's file of Stable "
    "Diffusion 2. Recalled, not read: that this file says v-prediction, the scaled-linear schedule, leading spacing "
    "with steps_offset 1 and a final alpha of alpha_bar_0. The text says eps and cosine: which of the two the weights "
    "were trained for can only be told with them.",
}
TOLERANCE = 1e-5  # of what surgery must not change, relative to the largest output


@dataclass(frozen=True, kw_only=True)
class ConversionReport:
    """What was made of what, and what was found when it was checked.

    Attributes:
        source: the file or folder that was read.
        layout: whose layout or model it was.
        keys: one row per parameter: its name, its shape, the tensors it came from.
        costs: parameters, active parameters and MACs of a forward, by stage.
        checks: what was verified, and the figure.
    """

    source: str
    layout: str
    keys: tuple[tuple[str, str, str], ...]
    costs: Mapping[str, tuple[int, int, int]]
    checks: Mapping[str, str]


def convert(
    path: Path,
    out: Path,
    *,
    layout: str | None = None,
    autoencoder: str | None = None,
    num_heads: int | None = None,
    as_released: bool = False,
) -> ConversionReport:
    """Turn a published file into a model folder.

    Args:
        path: `.safetensors`, `.pt` or `.pth`.
        out: the folder, new or empty; gets `conversion.json`, the report, beside the model.
        layout: what the file is expected to be, a key of `LAYOUTS` or of `STRAIGHT`; None = whatever it is.
        autoencoder: folder or hub name of the AutoencoderKL of its latents; None = Stable Diffusion's.
        num_heads: attention heads, where the file does not tell; see `models.foreign`.
        as_released: of the paper's release: sample as its program does, and not as the text says.

    Raises:
        InputError: for a file that is not a known network, not of that layout, or of tasks that are not known.
    """
    check_new(out)
    found = import_network(path, num_heads)
    kind = layout or name_of(found, path)
    line = STRAIGHT.get(kind)
    if found.layout != (line.layout if line else kind):
        raise InputError("--from", layout, f"{found.layout}: {path} is {LAYOUTS[found.layout]}")
    exported, original = export_state(found.network), found.state
    changed = sorted(k for k in original if not torch.equal(exported[k], original[k].float()))
    used = {name for entry in found.entries for row in entry.parts for name in row} | {"pos_embed"}
    checks = {"recognised": recognised(found, kind)}
    checks["assumed"] = ASSUMED[kind]
    checks |= {
        "keys of the file accounted for": f"{len(used & original.keys())} of {len(original)}"
    }
    checks["export gives the file back"] = (
        f"bit for bit, {len(original)} tensors" if not changed else f"but for {', '.join(changed)}"
    )

    card = f"# {out.name}\n\n{LAYOUTS[found.layout]}, converted from `{path.name}`.\n"
    if found.layout == "paper":
        network, config = found.network, _released(found, path)
        config = released_settings(config) if as_released else config
        card += f"\n{KNOWN[as_released]}\n"
    elif as_released:
        raise InputError("--as-released", f"{path}, {LAYOUTS[found.layout]}", "the paper's release")
    else:
        plain = velocity(found.network, line.sign) if line else found.network
        network = _generalist(plain)
        schedule = NoiseSchedule(name="rectified" if line else "linear")
        config = _chain(network, GENERALIST, schedule, steps=50)
        if line:
            config = replace(config, prediction="v", told=line.told)
        checks["generation changed by, relative"] = f"{_checked(plain, network):.2g}"
    config = _with_autoencoder(config, autoencoder)
    stages = {"file": found.network, "folder": network}
    report = ConversionReport(
        source=str(path),
        layout=LAYOUTS[found.layout],
        keys=_keys(found),
        costs={name: _cost(stage) for name, stage in stages.items()},
        checks=checks,
    )
    with new_folder(out) as folder:
        write_model(folder, config, network, write_card(config, card, license=LICENCES.get(kind)))
        write_json(folder / "conversion.json", to_json(report))
    return report


def upcycle_folder(
    source: Path, out: Path, *, experts: int, active: int, renormalise: bool = True, seed: int = 0
) -> ConversionReport:
    """Turn a dense model folder into one with experts, all of them copies of the dense MLP.

    Args:
        source: the dense model's folder.
        out: the new folder, new or empty; gets `conversion.json`, the report, beside the model.
        experts: experts E of each block.
        active: experts K of each token.
        renormalise: gates sum to 1, so that nothing changes at first; else the change is reported.
        seed: key of the routers' weights.

    Raises:
        InputError: for a folder that is no model or already has experts, or more active experts than there are.
    """
    check_new(out)
    chain = Chain.load(source)
    network = upcycle(
        chain.network,
        experts,
        active,
        renormalise=renormalise,
        generator=torch_generator(seed, "upcycle"),
    )
    change = (_checked if renormalise else deviation)(chain.network, network)
    report = ConversionReport(
        source=str(source),
        layout="lookharder",
        keys=tuple((k, str(list(v.shape)), "") for k, v in network.state_dict().items()),
        costs={"dense": _cost(chain.network), "experts": _cost(network)},
        checks={"output changed by, relative": f"{change:.2g}"},
    )
    config = replace(chain.config, model=network.config)
    note = f"# {out.name}\n\nUpcycled from `{source.name}`: {experts} experts, {active} active.\n"
    card = write_card(config, front_matter(read_card(source)) + note)  # its licence stays
    with new_folder(out) as folder:
        Chain(config, network, chain.autoencoder).save(folder, card)
        write_json(folder / "conversion.json", to_json(report))
    return report


def _generalist(network: DiT) -> DiT:
    """A class-conditional network -> one that also has a label and a patch embedding for each task.

    Embedding 0 sees the noisy latent alone, so generation stays what it was whatever the condition.
    """
    embeddings = routes(GENERALIST)
    labelled = extend_labels(network, len(embeddings))
    return widen_input(route_patch_embedding(labelled, embeddings), SOURCES + 1, alone=(0,))


def released_settings(config: ChainConfig) -> ChainConfig:
    """A system of the release's tasks, sampled and merged as the program that was released with it does (`KNOWN`).

    Raises:
        InputError: the system has other tasks.
    """
    names = [task.name for task in config.tasks]
    if names != [task.name for task in RELEASED] or config.model.routes != RELEASED_ROUTES:
        raise InputError("--as-released", f"a model of {names}", "the paper's release")
    return replace(
        config,
        schedule=NoiseSchedule(name="scaled-linear"),
        prediction="v",
        sampling=AS_RELEASED,
        fit="square",
        steps=50,
        members=5,
        tasks=tuple(task.merged_by(MERGED[task.name]) for task in config.tasks),
    )


def _released(found: Imported, path: Path) -> ChainConfig:
    """The paper's own, by its text: eps-prediction on the cosine schedule, 50 steps, 5 draws (2411.08034)."""
    config = found.network.config
    if config.routes != RELEASED_ROUTES or config.in_channels != (SOURCES + 1) * config.predicted:
        raise InputError(
            str(path),
            f"{config.embeddings} patch embeddings, {config.in_channels} channels for {config.predicted} predicted",
            "the release's four tasks, a condition of two latents beside the noisy one",
        )
    chain = _chain(found.network, RELEASED, NoiseSchedule(name="cosine"), steps=50, members=5)
    return replace(chain, fit="square", sampling=Sampling(spacing="leading", start_alpha=USABLE))


def _chain(
    network: DiT, tasks: tuple[Task, ...], schedule: NoiseSchedule, steps: int, members: int = 1
) -> ChainConfig:
    """A configuration whose autoencoder follows from the latents: 4 channels are Stable Diffusion's, 3 f^2 pixels."""
    latent = network.config.predicted
    codec = Pixel(factor=max(1, round((latent / 3) ** 0.5)))
    if latent != 4 and latent != codec.channels:
        raise InputError(
            "latents", f"{latent} channels", "4, of Stable Diffusion, or 3 f^2, pixels"
        )
    factor = 8 if latent == 4 else codec.factor
    return ChainConfig(
        model=network.config,
        autoencoder={"kind": "kl", **to_json(KLConfig(source=SD_VAE))}
        if latent == 4
        else codec.config(),
        tasks=tasks,
        schedule=schedule,
        prediction="eps",
        resolution=factor * network.config.input_size,
        steps=steps,
        members=members,
    )


def _with_autoencoder(config: ChainConfig, source: str | None) -> ChainConfig:
    """Another source of the AutoencoderKL; a folder is named by its absolute path."""
    if source is None:
        return config
    if config.autoencoder["kind"] != "kl":
        raise InputError("--autoencoder", source, "none, for latents that are pixels")
    name = str(Path(source).resolve()) if Path(source).is_dir() else source
    return replace(config, autoencoder={**config.autoencoder, "source": name})


def _checked(before: DiT, after: DiT) -> float:
    """The change that surgery made, which must be none."""
    change = deviation(before, after)
    if not change <= TOLERANCE:  # NaN is no small change
        raise AssertionError(f"surgery changed the output by {change:.2g}, relative")
    return change


def _cost(network: DiT) -> tuple[int, int, int]:
    side = network.config.input_size
    cost = count(network.config, side, side)
    return cost.params, cost.active_params, cost.macs


def _keys(found: Imported) -> tuple[tuple[str, str, str], ...]:
    shapes = {name: list(value.shape) for name, value in found.network.state_dict().items()}
    return tuple(
        (entry.ours, str(shapes[entry.ours]), ", ".join(n for row in entry.parts for n in row))
        for entry in found.entries
    )
