"""Many inputs in one go: predicted in groups, each recorded as soon as its files are there.

    with hold(out) as folder:
        for item, record in predict_files(predictor, inputs, todo, folder): # the files of an input are written
            ...
        finish(folder, keys)                                                # predictions.jsonl in order, index.html

How pictures are grouped changes the last bits of an answer at the most, because the noise of each is keyed by its
content. So what was predicted before, of the same files, by the same weights and in the same way, would come out the
same, and is not done again. Even the last bits are equal where the list of pictures is: they depend on it alone, not on
shards or on what is there already.

While a group is predicted the one before is written, by threads; of photos too large for a group one is held at a time.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from lookharder import __version__
from lookharder.config import to_json
from lookharder.errors import InputError
from lookharder.predict.files.folder import ResultFolder
from lookharder.predict.files.page import write_results
from lookharder.predict.files.pictures import Input
from lookharder.predict.files.records import PAGE, AnswerRecord, Key
from lookharder.predict.info import fingerprint
from lookharder.predict.inputs import PIXELS, together
from lookharder.predict.predictor import Prediction, Predictor
from lookharder.shard import Shard
from lookharder.visualize.answer_files import Writing, file_names, write_answer
from lookharder.visualize.looks import Look
from lookharder.visualize.views import view_of

ENCODERS = 4  # threads that write files, most of whose time is the disk's
EFFORT = ("levels", "mirror", "sampler", "spacing")  # of how hard it was looked, what a record says
Outcome = tuple[Input, AnswerRecord | InputError]


def run_of(recipe: str, shard: Shard, images: Sequence[Path]) -> str:
    """What the shards of a run have in common: how many they are, the recipe, and the list of images."""
    about = [recipe, str(shard.count), *map(str, images)]
    return hashlib.sha256("\0".join(about).encode("utf-8", "surrogateescape")).hexdigest()


def recipe_of(predictor: Predictor, task: str, **how: Any) -> str:
    """What a result is a function of, beside its input: a digest of the model, the task and all options.

    Args:
        predictor: the model.
        task: what is asked.
        **how: what else was asked; of that, how much is done at a time changes nothing.
    """
    about = {
        "version": __version__,
        "weights": fingerprint(predictor.chain),
        "settings": None if predictor.settings is None else to_json(predictor.settings),
        "task": to_json(predictor.chain.task(task)),
        "how": {name: str(value) for name, value in sorted(how.items()) if name != "batch_size"},
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def split(
    folder: ResultFolder, inputs: Sequence[Input], recipe: str, *, skip_existing: bool, anew: bool
) -> tuple[list[Input], list[Input]]:
    """Inputs that are to be predicted, and those of which the folder has the result.

    Args:
        folder: of results.
        inputs: of one task.
        recipe: as `recipe_of` gives it.
        skip_existing: any result will do, however it was made.
        anew: no result will do.
    """
    wanted = {_key(item): item.digest for item in inputs}
    made = folder.made(wanted, recipe, skip_existing=skip_existing, anew=anew)
    todo = [item for item in inputs if _key(item) not in made]
    return todo, [item for item in inputs if _key(item) in made]


def predict_files(
    predictor: Predictor,
    inputs: Sequence[Input],
    todo: Sequence[Input],
    folder: ResultFolder,
    *,
    recipe: str = "",
    writing: Writing,
    seed: int = 0,
    **options: Any,
) -> Iterator[Outcome]:
    """Predict inputs of one task, write the files of each and add its record.

    Args:
        predictor: the model.
        inputs: of one task.
        todo: those whose results are wanted; others are predicted only where they are together with these.
        folder: of results.
        recipe: as `recipe_of` gives it.
        writing: what is written of each answer.
        seed: key of the noise.
        **options: what else is asked of the predictor, see `Options`.

    Yields:
        The input, and its record when its files are written, or why it cannot be predicted.
    """
    wanted = {_key(item) for item in todo}
    made = {"version": __version__, "model": predictor.name, "seed": seed, "recipe": recipe}
    with ThreadPoolExecutor(1) as clerk, ThreadPoolExecutor(ENCODERS) as encoders:
        waiting: list[Future[list[Outcome]]] = []  # what was predicted, being written
        for group in _groups(inputs):
            if not any(_key(item) in wanted for item in group):
                continue
            meanwhile = int(math.prod(group[0].size) <= PIXELS)  # how many are written
            readable, outcomes = _read(group)
            yield from (outcome for outcome in outcomes if _key(outcome[0]) in wanted)
            for some, pixels, result in _predicted(predictor, readable, seed=seed, **options):
                if isinstance(result, InputError):
                    yield some[0], result
                    continue
                places = [place for place, item in enumerate(some) if _key(item) in wanted]
                asked = [(some[place], place, pixels[place]) for place in places]
                result = replace(result, given={})  # which is `pixels`, in floats
                job = clerk.submit(_write, encoders, folder, asked, result, writing, made)
                waiting.append(job)
                del pixels, asked, result  # or they are held while the next ones are read
                while len(waiting) > meanwhile:
                    yield from waiting.pop(0).result()
            del readable
        for job in waiting:
            yield from job.result()


def _write(
    encoders: ThreadPoolExecutor,
    folder: ResultFolder,
    asked: Sequence[tuple[Input, int, Mapping[str, Any]]],
    result: Prediction,
    writing: Writing,
    made: AnswerRecord,
) -> list[Outcome]:
    """Write the files of the answers to some inputs, by their places in a result, and add their records."""
    unsure = result.uncertainty is not None
    claims: list[AnswerRecord] = [
        {"task": item.task.name, "name": item.name, "files": _files(item, unsure, writing)}
        for item, _, _ in asked
    ]

    def write(asked: tuple[Input, int, Mapping[str, Any]], claim: AnswerRecord) -> AnswerRecord:
        item, place, pixels = asked
        view, answer = view_of(item.task.view), result.answer(place, pixels)
        facts = write_answer(folder.path, claim["files"], item.task.name, view, answer, writing)
        about = _describe(item, result, place, unsure, writing.look)
        return {**about, **claim, **facts, **made, "digest": item.digest}

    for item, place, pixels in asked:
        writing.check(view_of(item.task.view), result.answer(place, pixels))
    with folder.adding(claims) as records:
        records += encoders.map(write, asked, claims)
    return list(zip([item for item, _, _ in asked], records, strict=True))


def begin(
    folder: ResultFolder,
    inputs: Sequence[Input],
    *,
    unsure: bool,
    overwrite: bool = False,
    writing: Writing,
) -> None:
    """Make room for results, or refuse before anything is predicted or changed.

    Args:
        folder: of results.
        inputs: that will be predicted.
        unsure: with their uncertainty.
        overwrite: replace files that are no results, but never an input.
        writing: what is written of each answer.

    Raises:
        InputError: naming a file that would be replaced, or a name that is too long.
    """
    files = [file for item in inputs for file in _files(item, unsure, writing).values()]
    sources = {path for item in inputs for path in item.files}
    folder.check_free(files, sources, overwrite)
    folder.begin({_key(item) for item in inputs})


def finish(folder: ResultFolder, order: Sequence[Key]) -> bool:
    """Leave; who was there last sorts `predictions.jsonl` and writes the page of everything in the folder.

    Args:
        folder: of results.
        order: task and name of all results of the run.

    Returns:
        Whether this process was the last.
    """
    with folder.finish(order) as last:
        if last and folder.records:
            write_results(folder.path / PAGE, folder.records)
    return last


def _key(item: Input) -> Key:
    return item.task.name, item.name


def _files(item: Input, unsure: bool, writing: Writing) -> dict[str, str]:
    return file_names(item.task.name, view_of(item.task.view), item.name, unsure, writing)


def _groups(inputs: Sequence[Input]) -> Iterator[list[Input]]:
    """Inputs of one group and one size, in equal parts of as many as `together` allows."""

    def alike(item: Input) -> tuple[int, tuple[int, int]]:
        return item.group, item.size

    for (_, size), same in groupby(sorted(inputs, key=alike), alike):
        items = list(same)
        parts = math.ceil(len(items) / together(*size))
        yield from (
            items[part * len(items) // parts : (part + 1) * len(items) // parts]
            for part in range(parts)
        )


Pixels = list[dict[str, Any]]


def _read(group: Sequence[Input]) -> tuple[list[tuple[Input, dict[str, Any]]], list[Outcome]]:
    """The pixels of inputs, and those that have become unreadable since they were checked."""
    readable: list[tuple[Input, dict[str, Any]]] = []
    refused: list[Outcome] = []
    for item in group:
        try:
            readable.append((item, item.read()))
        except InputError as error:
            refused.append((item, error))
    return readable, refused


def _predicted(
    predictor: Predictor, given: Sequence[tuple[Input, dict[str, Any]]], **options: Any
) -> Iterator[tuple[list[Input], Pixels, Prediction | InputError]]:
    """Predict inputs of one size; one that is refused does not take its company along."""
    if not given:
        return
    items, pixels = [item for item, _ in given], [values for _, values in given]
    stacks: dict[str, Any] = {name: [p[name] for p in pixels] for name in pixels[0]}
    try:
        result = predictor(**stacks, task=items[0].task.name, **options)
    except InputError as error:
        if len(given) == 1:
            yield items, pixels, InputError(f"{items[0].image}: {error.argument}", *error.args[1:])
            return
        for each in given:
            yield from _predicted(predictor, [each], **options)
        return
    yield items, pixels, result


def _describe(
    item: Input, result: Prediction, position: int, unsure: bool, look: Look
) -> AnswerRecord:
    """What the files of an input mean, and how they were made."""
    meaning = dict(view_of(item.task.view).meaning)
    if not unsure:
        del meaning["uncertainty_meaning"]
    elif result.bound is not None:
        bound = result.bound
        meaning["uncertainty_meaning"] = (
            f"{bound.level:.0%} of errors are within it, as fitted on {bound.pictures} pictures of {bound.data} "
            f"with {bound.members} members"
        )
    count = len(result.member_counts)
    return {
        "input": str(item.image),
        **{argument: str(path) for argument, path in item.companions.items()},
        **({} if item.prompt is None else {"mask": str(item.prompt)}),
        "colormap": look.colormap,
        "source": str(item.image.resolve()),
        "task": item.task.name,
        "view": item.task.view,
        **meaning,
        "steps": result.steps,
        "members": result.member_counts[position],
        **{name: getattr(result.effort, name) for name in EFFORT},
        "choice": result.choice,
        "resolution": list(result.resolution),
        "seconds": result.seconds / count,
        "macs": result.macs // count,
    }
