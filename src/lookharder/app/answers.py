"""What the page answers, without the page: a question's price, and its answer as it gets better.

    models = Models()
    question = Question(task="depth", image=Path("photo.jpg"), members=8)
    models.price(question)                      # before anything is paid
    for shown in models.answers(question):      # better with every member, or with every level
        shown.picture, shown.words

Pictures are read through the one door of the command line, so the page sees what `lookharder predict` sees.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from lookharder.chain import default_model
from lookharder.data.formats import read_image
from lookharder.errors import InputError
from lookharder.predict.effort import Budget
from lookharder.predict.options import Options
from lookharder.predict.predictor import Prediction, Predictor
from lookharder.predict.prompts import Prompt
from lookharder.tasks.base import Given
from lookharder.visualize.colours import uncertainty_to_rgb

VEIL = 0.65  # of the uncertainty over the picture


@dataclass(frozen=True, kw_only=True)
class Question:
    """What somebody asks on the page; None = as the model does.

    Attributes:
        task: its name in `TASKS`.
        image: the picture.
        second: the next frame, for a task that needs one.
        where: a point "x,y" on the object that is meant, or a box "x0,y0,x1,y1" around it.
        steps: denoising steps.
        members: answers that are merged.
        levels: looks.
        mirror: of several members, every second one sees the mirror image.
        budget: what it may cost, in words; it picks the four above.
    """

    task: str
    image: Path
    second: Path | None = None
    where: str = ""
    steps: int | None = None
    members: int | None = None
    levels: int | None = None
    mirror: bool = False
    budget: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """What is asked of the predictor, by its names."""
        if self.budget.strip():
            return {"budget": Budget.parse(self.budget), "output_uncertainty": True}
        several = (self.members or 1) > 1
        return {
            "num_inference_steps": self.steps,
            "ensemble_size": self.members,
            "levels": self.levels,
            "mirror": self.mirror and several,
            "output_uncertainty": several,
        }

    def given(self, image: UInt8[np.ndarray, "3 H W"], inputs: Sequence[Given]) -> dict[str, Any]:
        """What a task needs beside its picture.

        Args:
            image: the picture.
            inputs: what the task needs.

        Raises:
            InputError: it is not there, or cannot be used.
        """
        found: dict[str, Any] = {}
        for each in inputs:
            if each.kind == "mask":
                found[each.argument] = prompt_of(self.where).mask(image)
            elif self.second is None:
                raise InputError("second frame", "nothing", "a picture")
            else:
                found[each.argument] = read_image(self.second)
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """An answer as the page shows it.

    Attributes:
        given: (H, W, 3) uint8, the picture.
        picture: (H, W, 3) uint8, the answer.
        unsure: (H, W, 3) uint8, its uncertainty over the picture; None with one member.
        words: what was done, and what it cost.
        result: the answer itself.
    """

    given: np.ndarray
    picture: np.ndarray
    unsure: np.ndarray | None
    words: str
    result: Prediction


class Models:
    """The models of a page, each opened when it is first asked.

    Args:
        model: for every task; None = the shipped one that is best at it.
        device: where they work.
    """

    def __init__(self, model: str | None = None, device: str = "auto") -> None:
        self.model = model
        self._open = lru_cache(lambda name: Predictor.from_pretrained(name, device))

    def of(self, task: str) -> Predictor:
        """The model that does a task."""
        return self._open(default_model(task) if self.model is None else self.model)

    def price(self, question: Question) -> str:
        """What the answer will cost, in words; the first question at a size measures the speed of this machine.

        Raises:
            InputError: a picture or a number that cannot be used.
        """
        planner = self.of(question.task).planner
        height, width = read_image(question.image).shape[1:]
        plan = planner.plan(question.task, Options(**question.options), 1, (height, width))
        effort, (rows, columns) = plan.effort, plan.size
        done = (
            f"{n} {word}{'s' * (n > 1)}"
            for n, word in (
                (effort.steps, "step"),
                (effort.members, "member"),
                (effort.levels, "level"),
            )
        )
        price = planner.price(question.task, plan)
        return f"{', '.join(done)} at {columns} x {rows}: {price}"

    def answers(self, question: Question) -> Iterator[Shown]:
        """The answer, again and again as it gets better; the last is what `lookharder predict` gives.

        Raises:
            InputError: what cannot be used.
        """
        image = read_image(question.image)
        predictor, options = self.of(question.task), question.options
        alone = "budget" not in options and not options["output_uncertainty"]
        stream = predictor.stream(
            image,
            question.task,
            by="level" if alone else "member",
            every=None if "budget" in options else 1,
            **question.given(image, predictor.chain.task(question.task).inputs),
            **options,
        )
        for result in stream:
            yield _show(image, result)


def prompt_of(where: str) -> Prompt:
    """The point or the box of a text.

    Raises:
        InputError: it is neither.
    """
    corners = where.replace(" ", "")
    if not corners:
        raise InputError("object", "nothing", "a point x,y on it, or a box x0,y0,x1,y1 around it")
    return Prompt.parse("--point" if corners.count(",") == 1 else "--box", corners)


def clicked(where: str, x: int, y: int) -> str:
    """Where the object is after a click: the first is a point on it, the second makes a box of the two."""
    numbers = where.replace(" ", "").split(",")
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        return f"{x},{y}"
    across, down = sorted((int(numbers[0]), x)), sorted((int(numbers[1]), y))
    return f"{across[0]},{down[0]},{across[1]},{down[1]}"


def _show(image: UInt8[np.ndarray, "3 H W"], result: Prediction) -> Shown:
    photo = np.moveaxis(image, 0, -1)
    unsure, answer = None, result.answer(0)
    several = "s" * (result.members > 1)
    words = (
        f"{result.members} member{several}, {result.seconds:.2f} s, {result.macs / 1e9:.2f} GMACs"
    )
    if answer.uncertainty is not None:
        veil = VEIL * uncertainty_to_rgb(answer.uncertainty) + (1 - VEIL) * photo
        unsure = veil.round().astype(np.uint8)
        words += f"; mean uncertainty {answer.uncertainty.mean():.3g}"
    if result.choice is not None:
        words += f"; for {result.choice}"
    return Shown(
        given=photo,
        picture=np.asarray(result.visualize()[0]),
        unsure=unsure,
        words=words,
        result=result,
    )
