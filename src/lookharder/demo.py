"""The whole system on the embedded scenes: predicted, scored, and shown beside the truth. No network, no GPU, no data.

The scenes are held out: no recipe trains on their seed. Each task is predicted once; scores are those of `evaluate`,
and the pictures show the very predictions that were scored.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lookharder import __version__
from lookharder.data.example import Example
from lookharder.data.formats import write_image
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import HELD_OUT_SEED
from lookharder.evaluate.evaluation import Evaluation, evaluate, protocol
from lookharder.evaluate.table import score_table
from lookharder.files import make_inside, write_json
from lookharder.metrics.scores import SCORES
from lookharder.predict.predictor import Prediction, Predictor
from lookharder.visualize.colours import montage
from lookharder.visualize.html import GalleryCard, PageImage, Section, write_gallery
from lookharder.visualize.panels import Cells
from lookharder.visualize.views import VIEWS, View

SIZE = (96, 128)  # pixels of a scene
ZOOM = 2  # pictures are written so many times larger


def demo(
    predictors: Mapping[str, Predictor],
    out: Path,
    count: int = 12,
    progress: Callable[[int], object] = lambda done: None,
) -> dict[str, Evaluation]:
    """Predict, score and show all three tasks; writes `index.html`, `overview.png`, `metrics.json` and `pictures/`.

    Args:
        predictors: a model for each task of `VIEWS`.
        out: folder, which exists.
        count: scenes.
        progress: called with the number of things done: a scene made, or predicted for one task; 4 x `count` in all.

    Returns:
        The scores by task.
    """
    began = time.perf_counter()
    make_inside(out, "pictures")
    for task in VIEWS:
        predictors[task].chain.task(task)
    world = ProceduralWorld(SIZE, HELD_OUT_SEED, count=count, world="photo")
    examples = []
    for i in range(count):
        examples.append(world[i])
        progress(1)
    data = f"procedural:{count}:{HELD_OUT_SEED}?world=photo&size={SIZE[0]}x{SIZE[1]}"

    scores: dict[str, Evaluation] = {}
    shown: dict[str, list[Cells]] = {}
    sections = []
    for task in VIEWS:
        panels = shown[task] = []

        def show(
            seen: Sequence[Example],
            result: Prediction,
            view: View = VIEWS[task],
            panels: list[Cells] = panels,
        ) -> None:
            for i, example in enumerate(seen):
                values = np.moveaxis(result.prediction[i], -1, 0)
                panels.append(view.panel(example, values, result.painting[i]))
            progress(len(seen))

        rules = protocol(task, "procedural", predictors[task].chain)
        scores[task] = evaluate(
            predictors[task], task, examples, data=data, rules=rules, watch=show
        )
        sections.append(_section(scores[task], panels, out))

    write_image(out / "overview.png", _overview(shown))
    seconds = time.perf_counter() - began
    write_json(
        out / "metrics.json",
        {
            "version": __version__,
            "models": {task: predictors[task].name for task in VIEWS},
            "scenes": count,
            "seconds": seconds,
            "tasks": {task: evaluation.to_json() for task, evaluation in scores.items()},
        },
    )
    names = {task: predictor.name for task, predictor in predictors.items()}
    told = ", ".join(f"{name} for {task}" for task, name in names.items())
    write_gallery(
        out / "index.html",
        title="lookharder: what the model sees",
        lead=f"{count} scenes that no model was trained on: {told}; made in {seconds:.0f} seconds.",
        sections=sections,
    )
    return scores


def _section(evaluation: Evaluation, panels: Sequence[Cells], out: Path) -> Section:
    """Write the images of a task; its part of the page."""
    task, cards = evaluation.task, []
    for i, (row, cells) in enumerate(zip(evaluation.rows, panels, strict=True)):
        pictures = []
        for caption, picture in cells:
            file = f"pictures/{task}_{i:03d}_{caption.split(':')[0].replace(' ', '_')}.png"
            write_image(out / file, np.moveaxis(_zoomed(picture), -1, 0))
            pictures.append(PageImage(file=file, caption=caption))
        cards.append(
            GalleryCard(title=f"Scene {i + 1}", pictures=pictures, facts=_facts(task, row))
        )
    return Section(
        heading=VIEWS[task].title,
        text=SCORES[task].note,
        table=score_table(evaluation),
        cards=cards,
    )


def _overview(shown: Mapping[str, Sequence[Cells]], scenes: int = 6) -> np.ndarray:
    """The first scenes, a row each: the input, then truth and prediction of every task, (3, H, W)."""
    rows = []
    for scene in zip(*(shown[task][:scenes] for task in VIEWS), strict=True):
        cells = [
            panel[cell][1]
            for task, panel in zip(VIEWS, scene, strict=True)
            for cell in VIEWS[task].overview
        ]
        rows.append(cells)
    titles = [title for view in VIEWS.values() for title in view.overview.values()]
    return np.moveaxis(montage(rows, titles), -1, 0)


def _facts(task: str, row: Mapping[str, Any]) -> dict[str, str]:
    values = {metric: row.get(metric) for metric in SCORES[task].main}
    return {
        metric: "nothing hidden" if value is None else f"{value:.3f}"
        for metric, value in values.items()
    }


def _zoomed(picture: np.ndarray) -> np.ndarray:
    """Each pixel a square, so that a small picture shows what it is."""
    return picture.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
