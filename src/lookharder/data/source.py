"""A data set from a line of text: `procedural[:COUNT[:SEED]]`, `collage[...]`, `READER:PATH[?OPTIONS]`, `latents:DIR`.

    procedural:9000:1?world=photo&size=96x128  scenes like photographs, 96 rows and 128 columns; frames=1: depth alone
    collage:8000:1?size=96x128                 flying cut-outs, for flow and hidden objects
    folder:photos?depth_unit=mm&crop=64        photos of any size, as random crops of 64 x 64
    procedural:500?only=depth&crop=48x64       crops of 48 rows and 64 columns, with what depth needs and nothing else
    hypersim:val?fit=512x512                   all of every picture on 512 x 512 pixels; fit=inside:768 keeps its shape

Options of every set of pictures: `fit=ROWSxCOLUMNS` or `fit=inside:SIDE` brings whole pictures to a size (`data.fit`);
`crop=SIDE` or `crop=ROWSxCOLUMNS`, and `views=N` beside it, make of each example N random crops (64), each a function
of (example, view), so that an epoch sees every example in N windows; `only=TASK` leaves out what the task does not
use, which saves the work of resizing it.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from lookharder.data import readers
from lookharder.data.collage import Collage
from lookharder.data.example import Dataset, Example
from lookharder.data.fit import Crops, Fit, Fitted, Only
from lookharder.data.latents import LatentSet, read_manifest, verify
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.store import store
from lookharder.errors import InputError
from lookharder.files import say_once, trace_of
from lookharder.seeding import keyed_seed

HELD_OUT_SEED = 1_000_003  # the evaluation scenes; no recipe trains on this seed
ONLY = {  # what a task reads of an example
    "depth": ("image", "depth", "depth_valid"),
    "flow": ("image", "second", "flow", "flow_valid"),
    "amodal": ("image", "visible", "amodal", "whole"),
}
MADE = ("procedural", "collage")  # what is rendered, at the size asked for; all else lies in files
VIEWS = 64  # crops of each example, unless `views` says otherwise
MEMORY = 4 * 2**30  # bytes of examples that a data set without a store keeps


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """One data set of a recipe.

    Attributes:
        spec: `procedural[:COUNT[:SEED]]`, `collage[:COUNT[:SEED]]`, `READER:PATH[?OPTIONS]` or `latents:DIR`.
        size: height and width of what is made, pixels. Pictures in files have a size of their own, which a spec may
            change: `crop=`, `fit=`.
        textures: folder of photographs for the surfaces of what is made, beside the built-in patterns.
        store: folder that keeps rendered scenes between runs; None keeps them in memory.
        workers: processes that render into `store`.
    """

    spec: str
    size: int = 64
    textures: str | None = None
    store: str | None = None
    workers: int = 2


def open_spec(spec: str, size: int, textures: str | None = None) -> Dataset:
    """The data set that a line of text names.

    Raises:
        InputError: for an unknown reader, a COUNT or SEED that is no whole number, or what the reader finds wrong.
    """
    plain, crops = _crops(spec)
    return crops(_open(plain, size, textures))


def sides_of(config: DataConfig) -> tuple[int, int]:
    """Height and width of a recipe's pictures, as far as its configuration says: of its crops, if any.

    Of pictures that keep their shape only the longest edge is known: it stands for both.
    """
    _, said = _options(config.spec)
    if "crop" in said:
        return _sides(said["crop"])
    if "fit" in said:
        fit = Fit.parse(said["fit"])
        return fit.height, fit.width
    given = said.get("size") if config.spec.startswith(MADE) else said.get("side")
    return _sides(given) if given else (config.size, config.size)


def sides_in(config: DataConfig) -> tuple[int, int] | None:
    """Height and width of the first example of a recipe's files; None where there is none to be read."""
    if config.spec.startswith(MADE):
        return None
    try:
        dataset = open_spec(config.spec, config.size)
    except InputError:
        return None
    return None if isinstance(dataset, LatentSet) else _first_sides(dataset)


def _first_sides(dataset: Dataset) -> tuple[int, int] | None:
    """Height and width of the first example, if it can be read."""
    try:
        height, width = dataset[0].image.shape[-2:]
    except InputError:
        return None
    return height, width


def open_data(config: DataConfig) -> Dataset:
    """The data set of a recipe, each example made once: on disk where `store` says, else in memory as far as it goes.

    Latents stay where they are. Crops are taken anew each time, of examples that are kept: in memory where these are
    files, which may be of any size. A store is known by all that it is made of: spec, files behind it, code.
    """
    plain, crops = _crops(config.spec)
    dataset = _open(plain, config.size, config.textures)
    if isinstance(dataset, LatentSet):
        return dataset
    files = not config.spec.startswith(MADE)
    mixed = files and plain != config.spec and "fit" not in _options(plain)[1]
    if files and not mixed and (found := _first_sides(dataset)) not in (None, sides_of(config)):
        asked = f"fit={config.size}x{config.size} or crop={config.size} would give {config.size}"
        say_once(config.spec, f"its pictures keep their own size, the first {found}; {asked}")
    if config.store is None or mixed:  # a store holds examples of one size
        return crops(Remembered(dataset))
    sources = (config.textures or "", trace_of(config.textures), source_trace(plain))
    key = f"{config.size}-{keyed_seed(plain, config.size, *sources, _code()):016x}"
    return crops(store(dataset, Path(config.store), key, config.workers))


def examine(
    spec: str,
    start: Callable[[int], object] | None = None,
    tick: Callable[[], object] | None = None,
) -> readers.Findings:
    """Everything that is wrong with the set of a spec; arguments as in `readers.examine`.

    Raises:
        InputError: a spec that names nothing to look at.
    """
    kind, _, rest = spec.partition(":")
    if kind in MADE:
        raise InputError("--data", repr(spec), "READER:PATH or latents:DIR; scenes have no files")
    if kind == "latents":
        problems = [
            readers.Problem(row=number, field="file", message=str(damage))
            for number, damage in enumerate(verify(rest), start=1)
        ]
        examples = 0 if problems else read_manifest(Path(rest))[0].count
        return readers.Findings(examples=examples, problems=problems)
    plain, said = _options(_crops(spec)[0])
    return readers.examine(_with_options(plain, said, without=("fit",)), start, tick)


class Remembered:
    """A data set that makes each example once and keeps it in memory, until `most` bytes are full."""

    def __init__(self, dataset: Dataset, most: int = MEMORY) -> None:
        self.dataset = dataset
        self.free = most
        self.kept: dict[int, Example] = {}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Example:
        if index in self.kept:
            return self.kept[index]
        example = self.dataset[index]
        size = sum(
            value.nbytes for value in vars(example).values() if isinstance(value, np.ndarray)
        )
        if size <= self.free:
            self.free -= size
            self.kept[index] = example
        return example


def _open(spec: str, size: int, textures: str | None) -> Dataset:
    plain, said = _options(spec)
    if "fit" in said:
        spec = _with_options(plain, said, without=("fit",))
        return Fitted(_open(spec, size, textures), Fit.parse(said["fit"]))
    kind, _, rest = spec.partition(":")
    if kind == "latents":
        return LatentSet(rest)
    if kind in MADE:
        return _made(spec, size, textures)
    return readers.open_data(spec)


def _options(spec: str) -> tuple[str, dict[str, str]]:
    """A spec without its options, and these; a question mark with nothing like an option behind it is of the path."""
    path, mark, text = spec.rpartition("?")
    if not mark or "=" not in text:
        return spec, {}
    said: dict[str, str] = {}
    for name, _, value in (part.partition("=") for part in text.split("&")):
        if not name or name in said:
            got = f"{spec!r} with {repr(name) + ' twice' if name else 'an empty option'}"
            raise InputError("--data", got, "each option once")
        said[name] = value
    return path, said


def _with_options(path: str, said: Mapping[str, str], without: Sequence[str]) -> str:
    """A spec with all of some options but those named."""
    kept = [f"{name}={value}" for name, value in said.items() if name not in without]
    return path + ("?" + "&".join(kept) if kept else "")


def _crops(spec: str) -> tuple[str, Callable[[Dataset], Dataset]]:
    """A spec without `crop`, `views` and `only`, and what these make of its data set."""
    path, said = _options(spec)
    ours = {name: value for name, value in said.items() if name in ("crop", "views", "only")}
    if not ours:
        return spec, lambda dataset: dataset
    if (task := ours.get("only")) not in (None, *ONLY):
        raise InputError("--data", f"only={task}", f"one of {sorted(ONLY)}")
    sides = _sides(ours["crop"]) if "crop" in ours else None
    if (
        not (views := ours.get("views", str(VIEWS))).isdecimal()
        or int(views) < 1
        or ("views" in ours and sides is None)
    ):
        raise InputError("--data", f"views={views}", "crop=SIDE[&views=N], N a whole number from 1")

    def change(dataset: Dataset) -> Dataset:
        if task is not None:
            dataset = Only(dataset, ONLY[task])
        return dataset if sides is None else Crops(dataset, sides, int(views))

    return _with_options(path, said, without=tuple(ours)), change


def _sides(text: str) -> tuple[int, int]:
    """Height and width from `SIDE` or `ROWSxCOLUMNS`."""
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    sides = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if min(sides) < 8:
        raise InputError("--data", f"crop={text}", "crop=SIDE or crop=ROWSxCOLUMNS, 8 or more")
    return sides


def _made(spec: str, size: int, textures: str | None) -> ProceduralWorld | Collage:
    """What a spec like `procedural:COUNT:SEED?world=photo&size=96x128&frames=1` makes."""
    named, _, text = spec.partition("?")
    kind, _, numbers = named.partition(":")
    count, seed = _whole_numbers(spec, numbers)
    options = dict(part.partition("=")[::2] for part in text.split("&")) if text else {}
    sides = re.fullmatch(r"(\d+)x(\d+)", options.pop("size", f"{size}x{size}"))
    known = {"world", "frames", "furniture"} if kind == "procedural" else set()
    if sides is None or not set(options) <= known or not options.get("frames", "2").isdecimal():
        more = ", world=WORLD, frames=1|2, furniture=PACK" if known else ""
        raise InputError("--data", repr(spec), f"options size=ROWSxCOLUMNS{more}")
    shape, photos = (int(sides[1]), int(sides[2])), Path(textures) if textures else None
    if kind == "collage":
        return Collage(shape, seed, photos, count=count)
    world, frames = options.get("world", "classic"), int(options.get("frames", "2"))
    return ProceduralWorld(
        shape,
        seed,
        photos,
        count=count,
        world=world,
        frames=frames,
        furniture=options.get("furniture"),
    )


def source_trace(spec: str) -> str:
    """`trace_of` the files that a spec reads; of what is made, the pack of furniture that it names."""
    path, said = _options(spec)
    kind, _, rest = path.partition(":")
    return trace_of(said.get("furniture") if kind in MADE else rest or None)


def _whole_numbers(spec: str, rest: str) -> tuple[int, int]:
    parts = rest.split(":") if rest else []
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        kind = spec.partition(":")[0]
        raise InputError("--data", repr(spec), f"{kind}[:COUNT[:SEED]], whole numbers")
    count = int(parts[0]) if parts else 500
    seed = int(parts[1]) if len(parts) > 1 else HELD_OUT_SEED
    if count < 1:
        raise InputError("--data", repr(spec), "a COUNT of 1 or more")
    return count, seed


@cache
def _code() -> str:
    """Digest of the code that makes examples, so that a store made by other code is never read."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
