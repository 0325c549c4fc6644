"""Many inputs in one go: predicted in groups, one line of JSON for each, one page for all.

    for index, record in predict_files(predictor, "depth", inputs, out):    # the files of an input are written
        ...
    finish(out, records)                                                    # predictions.jsonl, index.html

How pictures are grouped changes nothing, because the noise of each is keyed by its content.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from lookharder import __version__
from lookharder.files import atomic
from lookharder.predict.files.outputs import file_names, write
from lookharder.predict.files.pictures import Input
from lookharder.predict.inputs import together
from lookharder.predict.predictor import Prediction, Predictor
from lookharder.visualize.html import Card, PageImage, Section, write_gallery
from lookharder.visualize.views import view_of

UNSURE = "uncertainty: pale is sure"


def predict_files(
    predictor: Predictor,
    inputs: Sequence[Input],
    out: Path,
    *,
    seed: int = 0,
    **options: Any,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Predict inputs of one task and write the files of each.

    Args:
        predictor: the model.
        inputs: of one task.
        out: folder of results.
        seed: key of the noise.
        **options: what else is asked of the predictor, see `Options`.

    Yields:
        (index of the input, its record), when its files are written.
    """
    for group in _groups(inputs):
        task, pixels = inputs[group[0]].task, [inputs[index].read() for index in group]
        stacks: dict[str, Any] = {name: [p[name] for p in pixels] for name in pixels[0]}
        result = predictor(
            **stacks,
            task=task.name,
            seed=seed,
            **options,
        )
        for position, index in enumerate(group):
            files = file_names(task.name, inputs[index].name, result.uncertainty is not None)
            facts = write(out, files, result, position, pixels[position], view_of(task.view))
            origin = {"version": __version__, "model": predictor.name, "seed": seed}
            cost = {
                "seconds": result.seconds / len(group),
                "macs": result.macs // len(group),
            }
            about = _describe(inputs[index], files, result, position)
            yield index, about | facts | origin | cost


def _groups(inputs: Sequence[Input]) -> Iterator[list[int]]:
    """Indices of inputs of one size, as many as `together` allows."""
    order = sorted(range(len(inputs)), key=lambda index: (inputs[index].size, index))
    for _, same in groupby(order, key=lambda index: inputs[index].size):
        indices = list(same)
        most = together(*inputs[indices[0]].size)
        for first in range(0, len(indices), most):
            yield indices[first : first + most]


def finish(out: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write `predictions.jsonl` and `index.html` of a folder of results."""
    lines = [json.dumps(record, allow_nan=False) + "\n" for record in records]
    with atomic(out / "predictions.jsonl") as aside:
        aside.write_text("".join(lines), encoding="utf-8")
    first = records[0]
    most = max(record["members"] for record in records)
    members = "1 member" if most == 1 else f"{most} members"
    members = f"up to {members}" if any(r["members"] < most for r in records) else members
    lead = f"Model {first['model']}, {first['steps']} steps, {members}, seed {first['seed']}."
    lead += f" Chosen for a budget of {first['choice']}." if first["choice"] else ""
    meaning = first["meaning"][0].upper() + first["meaning"][1:]
    write_gallery(
        out / "index.html",
        title=f"lookharder: {first['task']}",
        lead=f"{meaning}. {lead}",
        sections=[Section(cards=[_card(record) for record in records])],
    )


def _describe(
    item: Input, files: Mapping[str, str], result: Prediction, position: int
) -> dict[str, Any]:
    """What the files of an input hold, and how it was made."""
    meaning = dict(view_of(item.task.view).meaning)
    if result.uncertainty is None:
        del meaning["uncertainty_meaning"]
    elif result.bound is not None:
        bound = result.bound
        words = (
            f"{bound.level:.0%} of errors are within it, as fitted on {bound.pictures} pictures of {bound.data} "
            f"with {bound.members} members"
        )
        meaning["uncertainty_meaning"] = words
    return {
        "input": str(item.image),
        **{argument: str(path) for argument, path in item.companions.items()},
        "task": item.task.name,
        "view": item.task.view,
        "files": dict(files),
        **meaning,
        "steps": result.steps,
        "members": result.member_counts[position],
        "levels": result.effort.levels,
        "sampler": result.effort.sampler,
        "spacing": result.effort.spacing,
        "choice": result.choice,
        "resolution": list(result.resolution),
    }


def _card(record: Mapping[str, Any]) -> Card:
    files, (height, width) = record["files"], record["shape"][-2:]
    view = view_of(record["view"])
    captions = dict(view.captions(record))
    if "uncertainty_picture" in files:
        captions["uncertainty_picture"] = f"{UNSURE}, dark is {record['uncertainty_max']:.3g}"
    facts = {
        "size": f"{width} x {height}",
        "worked at": f"{record['resolution'][1]} x {record['resolution'][0]}",
        "members": str(record["members"]),
        "time": f"{record['seconds']:.2f} s",
        "compute": f"{record['macs'] / 1e9:.2f} GMACs",
    }
    facts |= view.facts(record)
    if "uncertainty_mean" in record:
        facts["mean uncertainty"] = f"{record['uncertainty_mean']:.3g}"
    return Card(
        title=Path(record["input"]).name,
        pictures=[PageImage(file=files[role], caption=text) for role, text in captions.items()],
        facts=facts,
        downloads=[file for role, file in files.items() if role not in captions],
    )
