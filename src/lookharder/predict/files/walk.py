"""Which files a user means: arguments are files, folders (their pictures) or patterns (`*`, `?`, `[...]`, `**`).

Numbers in names sort as numbers. Of folders and patterns, results of `lookharder predict` are passed over, and so are
labels, NAME_depth.png beside NAME.jpg, where photographs are meant; what is left out is said.
"""

import glob
import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lookharder.data.formats import PICTURE_SUFFIXES
from lookharder.errors import InputError
from lookharder.files import is_litter, is_result, listed, say_left_out, say_once
from lookharder.predict.files.records import own_files

ROLES = ("depth", "flow", "second", "visible", "amodal", "whole", "mask", "visible_mask")
LABEL = re.compile(rf"(.+?)(?:_sparse)?_(?:{'|'.join(ROLES)})", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file that an argument names.

    Attributes:
        path: of the file.
        name: what its results are called after: its path inside the folder that was named, without the suffix.
        listed: a folder was named, and this is in it.
    """

    path: Path
    name: str
    listed: bool = False


def expand(
    argument: str, patterns: Sequence[str], *, recursive: bool = False, photos: bool = False
) -> list[Found]:
    """The files that arguments name, in the order given; folders and patterns give theirs sorted.

    Args:
        argument: what errors call it.
        patterns: files, folders or patterns.
        recursive: folders inside folders too.
        photos: pass over labels of other files.

    Raises:
        InputError: for a folder without pictures, or a pattern without files. A missing file is left to its reader.
    """
    found: list[Found] = []
    for pattern in patterns:
        paths = [Path(pattern)]
        if set("*?[") & set(pattern) and not Path(pattern).exists():
            # Path.glob takes no absolute pattern
            paths = [Path(name) for name in glob.glob(pattern, recursive=True)]  # noqa: PTH207
            paths = sorted((path for path in paths if not is_litter(path.name)), key=natural)
            if not paths:
                raise InputError(argument, f"{pattern!r}, which matches nothing", "files")
        for path in paths:
            inside = path.is_dir()
            found += _inside(argument, path, recursive) if inside else [_single(path)]
    return _without_labels(found) if photos else found


def pair(argument: str, photos: Sequence[Found], others: Sequence[Found]) -> list[Path | None]:
    """The companion of each photo: by name where folders are given, None if it has none; else by order.

    Raises:
        InputError: neither names nor numbers of files fit.
    """
    folders = all(each.listed for each in (*photos, *others))
    table = {_stem(each): each.path for each in others}
    by_name = [table.get(_stem(each)) for each in photos]
    missing, unlike = by_name.count(None), len(others) != len(photos)
    if (
        folders
        and len(table) == len(others)
        and (not missing or (unlike and missing < len(photos)))
    ):
        return by_name
    if unlike:
        raise InputError(argument, f"{len(others)} images", f"{len(photos)}, one for each IMAGE")
    if folders:
        say_once(argument, "names differ from those of the images: paired by order")
    return [each.path for each in others]


def unique_names(
    found: Sequence[Found], given: Mapping[int, str], others: Iterable[str] = ()
) -> list[str]:
    """A name for each file: its own, with -2, -3 ... where it is taken (also where only case differs).

    Args:
        found: files.
        given: names that some have already, by their place among the files.
        others: names that are taken by other files.
    """
    taken = {name.casefold() for name in (*given.values(), *others)}
    names = []
    for place, each in enumerate(found):
        if (name := given.get(place)) is None:
            name, count = each.name, 1
            while name.casefold() in taken:
                count += 1
                name = f"{each.name}-{count}"
            taken.add(name.casefold())
        names.append(name)
    return names


def natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Key of an order in which frame_2 comes before frame_10, so that two lists of frames pair as their numbers do."""
    parts = re.findall(r"\d+|\D+", str(path).casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], str(path)


def _single(path: Path) -> Found:
    return Found(path=path, name=path.stem)


def _stem(found: Found) -> str:
    """The name without what labels end in, by which files of two folders pair."""
    label = LABEL.fullmatch(found.name)
    return (label[1] if label else found.name).casefold()


def _inside(argument: str, folder: Path, recursive: bool) -> list[Found]:
    """The pictures of a folder."""
    paths = _pictures(folder, recursive, set())
    if not paths:
        raise InputError(
            argument, f"{folder}, a folder without images", "images: " + ", ".join(PICTURE_SUFFIXES)
        )
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in paths]
    return [
        Found(path=path, name=name, listed=True) for path, name in zip(paths, names, strict=True)
    ]


def _pictures(folder: Path, recursive: bool, owned: set[Path]) -> list[Path]:
    entries = sorted(listed(folder), key=natural)
    owned = owned | own_files(folder)
    files = [path for path in entries if path.is_file()]
    results = {path for path in files if is_result(path.name) or path in owned}
    pictures = [p for p in files if p.suffix.lower() in PICTURE_SUFFIXES and p not in results]
    others = set(files) - set(pictures) - results
    say_left_out(folder, [path.name for path in others], ", ".join(PICTURE_SUFFIXES))
    if results:
        say_once(str(folder), f"{len(results)} results of earlier predictions passed over")
    if recursive:  # a link to a folder may lead round in a circle
        for below in (path for path in entries if path.is_dir() and not path.is_symlink()):
            pictures += _pictures(below, recursive, owned)
    return pictures


def _without_labels(found: Sequence[Found]) -> list[Found]:
    """The files that are not labels of others among them."""
    stems: dict[Path, list[str]] = {}
    for each in found:
        stems.setdefault(each.path.parent, []).append(each.path.stem.casefold())
    folders = {
        folder: (set(names), sorted(name for name in names if not LABEL.fullmatch(name)))
        for folder, names in stems.items()
    }
    labels = [_is_label(each.path, *folders[each.path.parent]) for each in found]
    kept = [each for each, label in zip(found, labels, strict=True) if not label]
    passed = [each.path.name for each, label in zip(found, labels, strict=True) if label]
    if passed:
        shown = ", ".join(passed[:4]) + (", ..." if len(passed) > 4 else "")
        say_once("IMAGE", f"{len(passed)} labels of other images passed over: {shown}")
    return kept


def _is_label(path: Path, stems: Collection[str], photos: Sequence[str]) -> bool:
    """NAME_depth.png beside NAME.jpg or NAME_color.jpg; `photos` are the sorted stems that are no labels."""
    label = LABEL.fullmatch(path.stem)
    if label is None:
        return False
    name = label[1].casefold()
    next_one = photos[bisect_left(photos, f"{name}_") :][:1]
    return name in stems or any(stem.startswith(f"{name}_") for stem in next_one)
