"""The page: a tab for each task, by gradio, for the person at this machine alone.

It listens on the loopback address, reports to nobody, and loads nothing from elsewhere: no fonts, no scripts. Uploads
have a limit, questions wait in a short line, and what was uploaded or made is deleted after an hour.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lookharder.app.answers import Models
from lookharder.app.tab import Tab
from lookharder.data.formats import write_image
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import HELD_OUT_SEED
from lookharder.errors import InputError
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
                tab = Tab(gr, task, kinds[task], models, work)
                gr.Examples(
                    examples[task], tab.given, cache_examples=False, label="Rendered scenes to try"
                )
                tab.connect()
    page.queue(max_size=WAITING, default_concurrency_limit=1)
    return page


def launch(page: "gradio.Blocks", port: int, *, wait: bool = True, browse: bool = False) -> str:
    """Serve the page on this machine; its address.

    Args:
        page: as `build` makes it.
        port: to listen on.
        wait: until it is interrupted.
        browse: open it in the browser.

    Raises:
        InputError: another program listens on the port.
        OSError: the server cannot be started.
    """
    gr = gradio_of()
    with socket.socket() as probe:
        if probe.connect_ex((HERE, port)) == 0:
            raise InputError("--port", f"{port}, on which something listens", "another one")
    theme = gr.themes.Base(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    import httpx  # of gradio, which asks its own server whether it is there

    try:
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
    except httpx.HTTPError as error:
        raise OSError(f"the server of the page does not answer ({error})") from error
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
