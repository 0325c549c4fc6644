"""Other people's answers, as files of a folder, scored as a model's are.

    DIR/NAME.npy               NAME as the set calls a picture, with its folders; a suffix of the picture is left out
    DIR/NAME.depth.npy         the same, as `lookharder predict` writes it
    DIR/NAME.0.png  NAME.1.png several answers: the majority is scored, and the best of them beside it

    depth     .npy .npz .pfm, .png of grey, 8 or 16 bits    any unit, for it is fitted to the truth
    flow      .flo, .npy .npz as (2, H, W) or (H, W, 2), .png as KITTI writes it    pixels of the frame
    amodal    .npy .npz of bool, .png: a mask, or the whole object on white, which is where grey is 250 or less

A file is of the size of its picture. One answer for each picture that can be scored, or nothing is: what is missing is
an error, and what belongs to no picture is named.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lookharder.data.example import Dataset, Example
from lookharder.data.formats import (
    PICTURE_SUFFIXES,
    read_depth_png,
    read_flo,
    read_image,
    read_kitti_flow,
    read_npy,
    read_npz,
    read_pfm,
    to_mask,
)
from lookharder.data.formats.png import read_header
from lookharder.errors import InputError
from lookharder.evaluate.card import Card
from lookharder.evaluate.evaluation import Evaluation
from lookharder.evaluate.judge import Judge
from lookharder.files import is_litter, listed, opened, say_left_out
from lookharder.metrics.protocol import Protocol

WHITE = 250.5  # grey above which a pixel of a picture of a whole object is none of it (pix2gestalt's app)
LUMA = np.array([0.299, 0.587, 0.114])[
    :, None, None
]  # of red, green and blue, as every grey conversion has it
ORDER = (".npy", ".npz", ".pfm", ".flo", ".png")  # which of several files of one answer is read
Reader = Callable[[Path], np.ndarray]


def evaluate_files(
    folder: Path,
    task: str,
    dataset: Dataset,
    *,
    data: str,
    rules: Protocol,
    card: Card | None = None,
    seed: int = 0,
    tick: Callable[[], object] = lambda: None,
) -> Evaluation:
    """Score the answers of a folder, as `evaluate` scores those of a model.

    Args:
        folder: the answers, as this module says.
        task: depth, flow or amodal.
        dataset: pictures with ground truth.
        data: what the set is called in the result.
        rules: the protocol.
        card: what the scores are reported under.
        seed: of the intervals.
        tick: called after each picture that was looked at.

    Raises:
        InputError: a picture without an answer, or an answer that cannot be read or is of another size.
    """
    if task not in READ:
        raise InputError("--task", repr(task), f"one of {sorted(READ)}, with --predictions")
    answers = list_answers(folder, task)
    judge = Judge(task, dataset, data, rules, tick)
    names = {name: _key(name) for name in judge.survey.names}
    missing = [name for name, key in names.items() if key not in answers]
    if missing:
        got = f"{folder} without {len(missing)} of {len(names)} answers, the first {missing[0]}"
        raise InputError("--predictions", got, "one for each picture that can be scored")
    counts = {len(answers[key]) for key in names.values()}
    if len(counts) > 1:
        got = f"{min(counts)} to {max(counts)} answers to a picture"
        raise InputError("--predictions", got, "equally many to each")
    unused = sorted(answers.keys() - set(names.values()))
    say_left_out(folder, unused, f"those of the {len(names)} pictures of {data}")
    for example in judge.survey.examples():
        paths = answers[_key(example.name)]
        found = [_read(path, task, example) for path in paths]
        merged = np.mean(found, axis=0) > 0.5 if len(found) > 1 else found[0]
        with _naming(paths[0]):
            judge.add(example, merged, **judge.best(example, found))
    return Evaluation(
        model=str(folder),
        task=task,
        data=data,
        protocol=rules,
        steps=0,
        members=counts.pop(),
        seed=seed,
        macs_per_image=0.0,
        rows=judge.rows,
        options={"predictions": str(folder)},
        left_out=judge.survey.left_out,
        card=card,
        means=judge.means(seed),
    )


def list_answers(folder: Path, task: str) -> dict[str, list[Path]]:
    """The files of each answer of a folder by the name of its picture, several in the order of their numbers.

    Raises:
        InputError: no such folder, or it holds no file that can be one.
    """
    listed(folder)
    found: dict[str, dict[int, Path]] = defaultdict(dict)
    suffixes = [suffix for suffix in ORDER if suffix in READ[task]]
    unread = []
    for suffix in suffixes:
        for path in sorted(folder.rglob(f"*{suffix}")):
            relative = path.relative_to(folder)
            if any(map(is_litter, relative.parts)):
                continue
            name = relative.as_posix().removesuffix(suffix).removesuffix(f".{task}")
            several = re.fullmatch(r"(.+)\.(\d{1,4})", name) if task == "amodal" else None
            key, number = (several[1], int(several[2])) if several else (name, 0)
            if number in found[_key(key)]:
                unread.append(relative.as_posix())
            else:
                found[_key(key)][number] = path
    if not found:
        raise InputError("--predictions", f"{folder} without {', '.join(suffixes)}", "answers")
    say_left_out(folder, unread, f"one file of each answer, the first of {', '.join(suffixes)}")
    return {key: [files[number] for number in sorted(files)] for key, files in found.items()}


def _key(name: str) -> str:
    """A picture's name without its suffix."""
    head, dot, suffix = name.rpartition(".")
    return head if dot and f".{suffix.lower()}" in PICTURE_SUFFIXES else name


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Of a prediction that a metric refuses, the file."""
    try:
        yield
    except InputError as error:
        _, got, allowed = error.args
        raise InputError(str(path), got, allowed) from error


def _read(path: Path, task: str, example: Example) -> np.ndarray:
    """An answer (C, H, W) of the size of its picture."""
    answer = READ[task][path.suffix.lower()](path)
    if answer.shape[1:] != example.image.shape[1:]:
        got = "x".join(map(str, answer.shape[1:]))
        want = "x".join(map(str, example.image.shape[1:]))
        raise InputError(str(path), f"{got} pixels", f"{want}, the size of {example.name}")
    return answer


def _array(channels: int, last: bool = False) -> Reader:
    """A reader of .npy and .npz: (H, W) or (C, H, W), or channels last."""

    def read(path: Path) -> np.ndarray:
        arrays = [read_npy(path)] if path.suffix == ".npy" else list(read_npz(path).values())
        shape = arrays[0].shape if len(arrays) == 1 else ()
        while len(shape) > 3 and shape[0] == 1:  # a batch of one
            arrays[0] = arrays[0][0]
            shape = arrays[0].shape
        if len(shape) == 2 and channels == 1:
            return arrays[0][None]
        if len(shape) == 3 and shape[0] == channels:
            return arrays[0]
        if len(shape) == 3 and shape[2] == channels:
            return np.moveaxis(arrays[0], -1, 0)
        allowed = f"one array ({channels}, H, W) or (H, W, {channels})"
        raise InputError(str(path), f"{len(arrays)} arrays, shape {shape}", allowed)

    return read


def _grey(path: Path) -> np.ndarray:
    """The numbers of a PNG of one channel, (1, H, W)."""
    with opened(path) as handle:
        header = read_header(path, handle.read(33))
    if header.bits == 16:
        return read_depth_png(path, 1.0)[None]
    pixels = read_image(path, min_side=1, exact=True)
    if not (pixels == pixels[:1]).all():
        raise InputError(str(path), "a picture in colour", "depth in shades of grey")
    return pixels[:1].astype(np.float32)


def _map(path: Path) -> np.ndarray:
    values = read_pfm(path)
    if values.ndim != 2:
        raise InputError(str(path), f"shape {values.shape}", "a grey .pfm")
    return values[None]


def _kitti(path: Path) -> np.ndarray:
    """Flow, not a number where it is not given: it is scored there only if the truth is known there."""
    flow, valid = read_kitti_flow(path)
    return np.where(valid, flow, np.float32(np.nan))


def _object(path: Path) -> np.ndarray:
    """A mask of two values, or the whole object on white."""
    pixels = read_image(path, min_side=1, exact=True)
    grey = np.rint((LUMA * pixels).sum(0))
    several = len(np.unique(grey)) > 2
    mask: np.ndarray = grey < WHITE if several else grey > grey.max() / 2
    return mask[None]


def _mask(path: Path) -> np.ndarray:
    return to_mask(_array(1)(path)[0], str(path))[None]


READ: Mapping[str, Mapping[str, Reader]] = {
    "depth": {".npy": _array(1), ".npz": _array(1), ".pfm": _map, ".png": _grey},
    "flow": {".npy": _array(2), ".npz": _array(2), ".flo": read_flo, ".png": _kitti},
    "amodal": {".npy": _mask, ".npz": _mask, ".png": _object},
}
