"""Other people's answers, as files of a folder, scored as a model's are.

    DIR/NAME.npy               NAME as the set calls a picture, with its folders; a suffix of the picture is left out
    DIR/NAME.depth.npy         the same, as `lookharder predict` writes it
    DIR/NAME.0.png  NAME.1.png several answers: the majority is scored, and the best of them beside it

What a file may hold is said by the task's row of `VIEWS` (`visualize.answer_readers`); it is of the size of its
picture. One answer for each picture that can be scored, or nothing is: what is missing is an error, and what belongs
to no picture is named.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lookharder.data.example import Dataset, Example
from lookharder.data.formats import PICTURE_SUFFIXES
from lookharder.errors import InputError
from lookharder.evaluate.card import Card
from lookharder.evaluate.evaluation import Evaluation
from lookharder.evaluate.judge import Judge
from lookharder.files import is_litter, listed, say_left_out
from lookharder.metrics.protocol import Protocol
from lookharder.visualize.views import VIEWS

ORDER = (".npy", ".npz", ".pfm", ".flo", ".png")  # which of several files of one answer is read


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
        task: one whose answers can be read from files.
        dataset: pictures with ground truth.
        data: what the set is called in the result.
        rules: the protocol.
        card: what the scores are reported under.
        seed: of the intervals.
        tick: called after each picture that was looked at.

    Raises:
        InputError: a picture without an answer, or an answer that cannot be read or is of another size.
    """
    known = sorted(name for name, view in VIEWS.items() if view.read)
    if task not in known:
        raise InputError("--task", repr(task), f"one of {known}, with --predictions")
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
    view = VIEWS[task]
    suffixes = [suffix for suffix in ORDER if suffix in view.read]
    unread = []
    for suffix in suffixes:
        for path in sorted(folder.rglob(f"*{suffix}")):
            relative = path.relative_to(folder)
            if any(map(is_litter, relative.parts)):
                continue
            name = relative.as_posix().removesuffix(suffix).removesuffix(f".{task}")
            several = re.fullmatch(r"(.+)\.(\d{1,4})", name) if view.several else None
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
    answer = VIEWS[task].read[path.suffix.lower()](path)
    if answer.shape[1:] != example.image.shape[1:]:
        got = "x".join(map(str, answer.shape[1:]))
        want = "x".join(map(str, example.image.shape[1:]))
        raise InputError(str(path), f"{got} pixels", f"{want}, the size of {example.name}")
    return answer
