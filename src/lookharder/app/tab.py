"""A task's tab on the page: what it is asked, what that costs, and its answer.

    tab = Tab(gr, "depth", kinds, models, work)   # its widgets, where gradio's blocks are open
    tab.connect()                                 # from here on they act

Gradio is passed in: it is an extra, and is told to report nothing before it is imported (`page.gradio_of`).
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lookharder.app.answers import Models, Question, clicked
from lookharder.errors import InputError, printable
from lookharder.visualize.views import VIEWS

NO_PICTURE = "Choose a picture."


class Tab:
    """The widgets of a task, and what is done when somebody uses them.

    Args:
        gr: gradio.
        task: its name in `TASKS`.
        kinds: what the task needs beside its picture: a "picture", a "mask", both or neither.
        models: what answers.
        work: a folder for files to download.
    """

    def __init__(
        self, gr: Any, task: str, kinds: frozenset[str], models: Models, work: Path
    ) -> None:
        self.gr, self.task, self.kinds, self.models, self.work = gr, task, kinds, models, work
        with gr.Row():
            with gr.Column():
                self._lay_out_question()
            with gr.Column():
                self._lay_out_answer()

    def _lay_out_question(self) -> None:
        gr, model = self.gr, self.models.of(self.task)
        picture: dict[str, Any] = {"type": "filepath", "image_mode": None, "height": 260}
        picture["sources"] = ["upload", "clipboard"]
        moves, masked = "picture" in self.kinds, "mask" in self.kinds
        self.image = gr.Image(label="First frame" if moves else "Picture", **picture)
        self.second = gr.Image(label="Next frame", visible=moves, **picture)
        self.where = gr.Textbox(label="Object: x,y on it, or x0,y0,x1,y1 around it", visible=masked)
        self.levels = gr.Slider(1, 4, model.planner.levels(self.task), step=1, label="Levels")
        self.members = gr.Slider(1, 16, 1, step=1, label="Members; two or more give uncertainty")
        self.mirror = gr.Checkbox(label="Every second member sees the mirror image")
        self.steps = gr.Slider(1, 50, model.chain.config.steps, step=1, label="Steps")
        self.budget = gr.Textbox(
            label="Or a budget, which picks all of these", placeholder="2s, 5GMACs, 500MB"
        )
        self.price = gr.Markdown(NO_PICTURE, elem_id=f"price-{self.task}")
        self.button = gr.Button("Look", variant="primary", elem_id=f"look-{self.task}")
        for each in (self.image, self.second):  # gradio would open an upload by rules of its own
            each.preprocess = lambda payload: payload and payload.path

    def _lay_out_answer(self) -> None:
        gr = self.gr
        self.slider = gr.ImageSlider(
            label="Picture | answer", interactive=False, format="png", slider_position=25
        )
        gr.Markdown(VIEWS[self.task].hint)
        self.words = gr.Markdown(elem_id=f"words-{self.task}")
        self.unsure = gr.Image(
            label="Uncertainty over the picture", visible=False, interactive=False
        )
        self.files = gr.Files(label="Files", interactive=False, elem_id=f"files-{self.task}")

    @property
    def given(self) -> list[Any]:
        """The widgets that an example fills in: the picture, and what the task needs beside it."""
        beside = {"picture": self.second, "mask": self.where}
        return [self.image, *(widget for kind, widget in beside.items() if kind in self.kinds)]

    def connect(self) -> None:
        """Quote the price whenever the question changes, and answer when the button is pressed."""
        gr = self.gr
        asked = [self.image, self.second, self.where]
        asked += [self.steps, self.members, self.levels, self.mirror, self.budget]
        changes: list[Callable[..., Any]] = [each.change for each in asked]
        quiet: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
        gr.on(changes, self.quote, asked, self.price, **quiet)
        answer = [self.slider, self.words, self.unsure, self.files]
        self.button.click(self.look, asked, answer, api_name=f"look_{self.task}")
        if "mask" not in self.kinds:
            return

        def click(place: str | None, event: Any) -> str:
            return clicked(place or "", *event.index)

        click.__annotations__["event"] = gr.SelectData  # how gradio knows what to pass
        self.image.select(click, self.where, self.where)
        self.image.upload(lambda: "", None, self.where)

    def question(
        self, picture: str, after: str | None, place: str | None, *effort: Any
    ) -> Question:
        """What the widgets ask, from their values."""
        steps, members, levels, mirror, budget = effort
        return Question(
            task=self.task,
            image=Path(picture),
            second=Path(after) if after else None,
            where=place or "",  # of a box that is not shown: nothing
            steps=int(steps),
            members=int(members),
            levels=int(levels),
            mirror=bool(mirror),
            budget=budget or "",
        )

    def quote(self, picture: str | None, *rest: Any) -> str:
        """The price of a question, or why there is none."""
        if not picture:
            return NO_PICTURE
        try:
            return f"Price: {self.models.price(self.question(picture, *rest))}."
        except InputError as error:
            return f"Cannot be done: {printable(str(error))}"

    def look(self, picture: str | None, *rest: Any) -> Iterator[dict[Any, Any]]:
        """The answer as it gets better, then its files; an error is shown on the page."""
        gr = self.gr
        if not picture:
            raise gr.Error(NO_PICTURE, print_exception=False)
        last = None
        try:
            for last in self.models.answers(self.question(picture, *rest)):
                over = gr.update(value=last.unsure, visible=last.unsure is not None)
                shown = (last.given, last.picture)
                yield {self.slider: shown, self.words: last.words, self.unsure: over}
        except InputError as error:
            raise gr.Error(printable(str(error)), print_exception=False) from error
        assert last is not None, "a stream gives an answer or an error"
        made = last.result.save(tempfile.mkdtemp(dir=self.work), [Path(picture).stem[:80]])
        yield {self.files: [str(path) for path in made]}
