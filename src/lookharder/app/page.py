"""The page: a tab for each task, by gradio, for the person at this machine alone.

It listens on the loopback address, reports to nobody, and loads nothing from elsewhere: no fonts, no scripts. Uploads
have a limit, questions wait in a short line, and what was uploaded or made is deleted after an hour.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lookharder.app.answers import Models, Question, clicked
from lookharder.data.formats import write_image
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import HELD_OUT_SEED
from lookharder.errors import InputError, printable
from lookharder.files import make_inside
from lookharder.visualize.views import VIEWS

if TYPE_CHECKING:
    import gradio

HERE = "127.0.0.1"
UPLOAD = "32mb"
WAITING = 16  # questions in line
HOUR = 3600  # seconds
SIZE, SCENES = (192, 256), (1, 2, 7)  # of the examples
LEAD = """# lookharder
Depth, motion and hidden objects by iterative denoising. More compute, a better look: the price stands below
before you pay it. Nothing leaves this machine."""
CSS = ".gradio-container {max-width: 72rem !important; margin: auto} footer {display: none !important}"


def gradio_of() -> Any:
    """The library, told to report nothing before it is imported.

    Raises:
        InputError: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio
    except ModuleNotFoundError as error:
        raise InputError(
            "app", "no gradio", "gradio beside it: pip install 'lookharder[app]'"
        ) from error
    return gradio


def build(models: Models, work: Path) -> "gradio.Blocks":
    """The page.

    Args:
        models: what answers.
        work: a folder for examples and for files to download.
    """
    gr = gradio_of()
    kinds = kinds_of(models)
    examples = write_examples(work / "examples", kinds)
    with gr.Blocks(title="lookharder", analytics_enabled=False, delete_cache=(HOUR, HOUR)) as page:
        gr.Markdown(LEAD)
        for task in kinds:
            with gr.Tab(VIEWS[task].title, id=task):
                _tab(gr, task, kinds[task], models, work, examples[task])
    page.queue(max_size=WAITING, default_concurrency_limit=1)
    return page


def launch(page: "gradio.Blocks", port: int, *, wait: bool = True, browse: bool = False) -> str:
    """Serve the page on this machine; its address.

    Args:
        page: as `build` makes it.
        port: to listen on.
        wait: until it is interrupted.
        browse: open it in the browser.
    """
    gr = gradio_of()
    theme = gr.themes.Base(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    _, address, _ = page.launch(
        server_name=HERE,
        server_port=port,
        share=False,
        inbrowser=browse,
        quiet=True,
        prevent_thread_lock=True,
        max_file_size=UPLOAD,
        show_error=True,
        footer_links=[],
        ssr_mode=False,
        theme=theme,
        css=CSS,
    )
    if wait:
        print(f"{address} (Ctrl-C ends it)", flush=True)
        page.block_thread()
    return str(address)


def kinds_of(models: Models) -> dict[str, frozenset[str]]:
    """What each task that the models do needs beside its picture: a "picture", a "mask", both or neither."""
    owned = {task: models.of(task).chain.tasks for task in VIEWS}
    return {
        task: frozenset(each.kind for each in tasks[task].inputs)
        for task, tasks in owned.items()
        if task in tasks
    }


def write_examples(folder: Path, kinds: Mapping[str, frozenset[str]]) -> dict[str, list[list[str]]]:
    """Rendered scenes that no model was trained on: what each task's examples fill in, by the kinds that it needs."""
    world = ProceduralWorld(SIZE, HELD_OUT_SEED, world="photo")
    rows: dict[str, list[list[str]]] = {task: [] for task in kinds}
    make_inside(folder.parent, folder.name)
    for index in SCENES:
        scene = world[index]
        first, second = folder / f"scene-{index}.png", folder / f"scene-{index}-next.png"
        write_image(first, scene.image)
        filled = {}
        if scene.second is not None:
            write_image(second, scene.second)
            filled["picture"] = str(second)
        if scene.visible is not None and scene.visible.any():
            down, across = (np.flatnonzero(scene.visible.any(axis)) for axis in (1, 0))
            box = across[0], down[0], across[-1] + 1, down[-1] + 1
            filled["mask"] = ",".join(map(str, box))
        for task, needed in kinds.items():
            if needed <= filled.keys():
                beside = [filled[kind] for kind in ("picture", "mask") if kind in needed]
                rows[task].append([str(first), *beside])
    return rows


def _tab(
    gr: Any,
    task: str,
    kinds: frozenset[str],
    models: Models,
    work: Path,
    examples: list[list[str]],
) -> None:
    """What a task is asked, what that costs, and its answer."""
    with gr.Row():
        with gr.Column():
            picture: dict[str, Any] = {"type": "filepath", "image_mode": None, "height": 260}
            picture["sources"] = ["upload", "clipboard"]
            image = gr.Image(label="First frame" if "picture" in kinds else "Picture", **picture)
            second = gr.Image(label="Next frame", visible="picture" in kinds, **picture)
            where = gr.Textbox(
                label="Object: x,y on it, or x0,y0,x1,y1 around it", visible="mask" in kinds
            )
            levels = gr.Slider(1, 4, models.of(task).planner.levels(task), step=1, label="Levels")
            members = gr.Slider(1, 16, 1, step=1, label="Members; two or more give uncertainty")
            steps = gr.Slider(1, 50, models.of(task).chain.config.steps, step=1, label="Steps")
            budget = gr.Textbox(
                label="Or a budget, which picks the three", placeholder="2s, 5GMACs, 500MB"
            )
            price = gr.Markdown("Choose a picture.", elem_id=f"price-{task}")
            button = gr.Button("Look", variant="primary", elem_id=f"look-{task}")
        with gr.Column():
            slider = gr.ImageSlider(
                label="Picture | answer", interactive=False, format="png", slider_position=25
            )
            gr.Markdown(VIEWS[task].hint)
            words = gr.Markdown(elem_id=f"words-{task}")
            unsure = gr.Image(
                label="Uncertainty over the picture", visible=False, interactive=False
            )
            files = gr.Files(label="Files", interactive=False, elem_id=f"files-{task}")
    for each in (image, second):  # gradio would open what is uploaded, by rules of its own
        each.preprocess = lambda payload: payload and payload.path
    asked = [image, second, where, steps, members, levels, budget]
    beside = {"picture": second, "mask": where}
    shown = [image, *(widget for kind, widget in beside.items() if kind in kinds)]
    gr.Examples(examples, shown, cache_examples=False, label="Rendered scenes to try")

    def question(picture: str, after: str | None, place: str | None, *effort: Any) -> Question:
        steps, members, levels, budget = effort
        return Question(
            task=task,
            image=Path(picture),
            second=Path(after) if after else None,
            where=place or "",  # of a box that is not shown: nothing
            steps=int(steps),
            members=int(members),
            levels=int(levels),
            budget=budget or "",
        )

    def quote(picture: str | None, *rest: Any) -> str:
        if not picture:
            return "Choose a picture."
        try:
            return f"Price: {models.price(question(picture, *rest))}."
        except InputError as error:
            return f"Cannot be done: {printable(str(error))}"

    def look(picture: str | None, *rest: Any) -> Iterator[dict[Any, Any]]:
        if not picture:
            raise gr.Error("Choose a picture first.", print_exception=False)
        last = None
        try:
            for last in models.answers(question(picture, *rest)):
                over = gr.update(value=last.unsure, visible=last.unsure is not None)
                yield {slider: (last.given, last.picture), words: last.words, unsure: over}
        except InputError as error:
            raise gr.Error(printable(str(error)), print_exception=False) from error
        assert last is not None, "a stream gives an answer or an error"
        made = last.result.save(tempfile.mkdtemp(dir=work), [Path(picture).stem[:80]])
        yield {files: [str(path) for path in made]}

    def click(place: str | None, event: Any) -> str:
        return clicked(place or "", *event.index)

    if "mask" in kinds:
        click.__annotations__["event"] = gr.SelectData  # how gradio knows what to pass
        image.select(click, where, where)
        image.upload(lambda: "", None, where)
    quiet: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
    changes: list[Callable[..., Any]] = [each.change for each in asked]
    gr.on(changes, quote, asked, price, **quiet)
    button.click(look, asked, [slider, words, unsure, files], api_name=f"look_{task}")
