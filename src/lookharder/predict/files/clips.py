"""Clips: depth of every frame, flow from each to the next, in colours that do not change.

    NAME.depth.mp4      the answers as a clip, one range of colours from beginning to end
    NAME.depth.frames/  000000.npy and so on, an array a frame, in the formats that are asked for

All frames start from the same noise, so that what flickers is the network's answer and not the draw; depth is steadied
(`predict.files.steady`). A few frames are held at a time, whatever the length of the clip.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lookharder import __version__
from lookharder.data.formats import read_image
from lookharder.data.formats.video import clip_facts, is_clip, read_clip, writing_clip
from lookharder.errors import InputError
from lookharder.files import opened
from lookharder.predict.files.folder import ResultFolder, remove
from lookharder.predict.files.records import AnswerRecord
from lookharder.predict.files.steady import SteadyFrame, steady
from lookharder.predict.files.walk import expand
from lookharder.predict.inputs import batch_of, together
from lookharder.predict.options import Options
from lookharder.predict.predictor import Prediction, Predictor
from lookharder.tasks.base import Task
from lookharder.visualize.answer_files import Writing
from lookharder.visualize.formats import Format, find_formats
from lookharder.visualize.looks import Look
from lookharder.visualize.views import View, view_of

FRAMES_A_SECOND = Fraction(24)  # of a folder of frames
SHARED = 0  # key of the noise of all frames


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Frames in order.

    Attributes:
        name: of its results.
        source: a file, or a folder of frames.
        rate: frames a second.
        size: (height, width).
        count: frames as far as known, 0 if not.
        frames: their files, where the source is a folder.
        digest: of what the files hold.
    """

    name: str
    source: Path
    rate: Fraction
    size: tuple[int, int]
    count: int
    frames: Sequence[Path]
    digest: str

    def read(self) -> Iterator[np.ndarray]:
        """The frames (3, H, W) uint8, one after the other."""
        if not self.frames:
            yield from read_clip(self.source)
        for path in self.frames:
            image = read_image(path)
            if image.shape[1:] != self.size:
                raise InputError(str(path), f"{image.shape[1:]} pixels", f"{self.size}, as others")
            yield image


def find_clips(
    task: Task, images: Sequence[str], companions: bool, lost: list[InputError] | None = None
) -> list[Clip]:
    """The clips that arguments name: video files, and for flow without a second frame a folder; none = pictures.

    Args:
        task: what is asked of them.
        images: the arguments.
        companions: whether a second frame, a mask or a prompt stands beside them.
        lost: gets why some of several clips cannot be read; None = the first of these is raised.

    Raises:
        InputError: clips beside pictures, for a task that is not done for clips, or none that can be read.
    """
    paths = [Path(image) for image in images]
    folders = task.takes_next_frame and not companions
    found = [path for path in paths if is_clip(path) or (folders and path.is_dir())]
    if not found:
        return []
    other = next((path for path in paths if path not in found), None)
    if other is not None:
        raise InputError("IMAGE", f"{other} beside {found[0]}", "clips alone, or images alone")
    if not task.takes_clips:
        raise InputError("IMAGE", f"{found[0]}, a clip", f"images, with task {task.name!r}")
    if companions:
        flags = "--second, --mask, --box, --point"
        raise InputError(flags, f"one of them beside {found[0]}, a clip", "nothing beside a clip")
    clips: list[Clip] = []
    for path in found:
        try:
            clips.append(_folder(path) if path.is_dir() else _file(path))
        except InputError as error:
            if lost is None or len(found) == 1:
                raise
            lost.append(error)
    if lost and not clips:
        raise lost[0]
    if len({clip.name for clip in clips}) != len(clips):
        raise InputError("IMAGE", "clips of one name", "names that differ")
    return clips


def clip_files(task: str, clip: Clip) -> dict[str, str]:
    """Role -> name of what a clip gives."""
    return {"video": f"{clip.name}.{task}.mp4", "frames": f"{clip.name}.{task}.frames"}


def predict_clip(
    predictor: Predictor,
    task: Task,
    clip: Clip,
    folder: ResultFolder,
    *,
    recipe: str,
    writing: Writing,
    share: float = 0.0,
    **options: Any,
) -> Iterator[int]:
    """Predict a clip, write its files and add its record.

    Args:
        predictor: the model.
        task: depth or flow.
        clip: the frames.
        folder: of results.
        recipe: as `recipe_of` gives it.
        writing: formats of the arrays, and colours.
        share: of the frame before in each map of depth, see `steady`; 0 = each frame as it is predicted alone.
        **options: what else is asked of the predictor, see `Options`.

    Yields:
        How many frames more are done.
    """
    view, files = view_of(task.view), clip_files(task.name, clip)
    claim = {"task": task.name, "name": clip.name, "files": files}
    names = view.formats if writing.formats is None else writing.formats
    formats = list(find_formats(task.name, names).values())
    results = _results(predictor, task, clip, Options(**options))
    first = next(results, None)  # before anything is written
    if first is None:
        raise InputError(str(clip.source), "too few frames", "one for depth, two for flow")
    with folder.adding([claim]) as records:
        frames = folder.path / files["frames"]
        remove(frames)
        frames.mkdir()
        seconds, macs = 0.0, 0
        try:
            with writing_clip(folder.path / files["video"], clip.rate) as show:
                answers = _ClipAnswers(task.name, view, frames, show, formats, writing.look, share)
                for result in chain([first], results):
                    answers.add(result)
                    seconds, macs = seconds + result.seconds, macs + result.macs
                    yield len(result.member_counts)
        except InputError:  # the clip is damaged further on
            remove(frames)
            raise
        about = _describe(clip, task, view)
        made = {"version": __version__, "model": predictor.name, "seed": options.get("seed", 0)}
        cost = {"seconds": seconds, "macs": macs, "resolution": list(result.resolution)}
        seen = {"levels": result.effort.levels, "mirror": result.effort.mirror}
        how = {"steps": result.steps, "members": result.members, **seen, "choice": result.choice}
        key = {"recipe": recipe, "digest": clip.digest}
        records.append({**about, **claim, **answers.facts(), **how, **cost, **made, **key})


def _results(
    predictor: Predictor, task: Task, clip: Clip, options: Options
) -> Iterator[Prediction]:
    """The prediction of each group of frames, in order."""
    for given in _groups(task, clip):
        batch = batch_of(task, given.pop("image"), given)
        *_, result = predictor.predict(task.name, batch, options, noise_key=SHARED)
        yield result


class _ClipAnswers:
    """Writes the answer to each frame as arrays, and shows it in the video, in the colours of the first ones."""

    def __init__(
        self,
        task: str,
        view: View,
        frames: Path,
        show: Callable[[np.ndarray], object],
        formats: Sequence[Format],
        look: Look,
        share: float,
    ) -> None:
        self.task, self.view, self.frames, self.show = task, view, frames, show
        self.formats, self.look, self.share = formats, look, share
        self.last: SteadyFrame | None = None
        self.shape: tuple[int, ...] = ()
        self.count = 0

    def add(self, result: Prediction) -> None:
        if self.count == 0:
            low, high = self.view.span(result.prediction)
            self.look = replace(self.look, low=low, high=high)
        for index in range(len(result.member_counts)):
            answer = result.answer(index)
            array = self.view.array(answer.values)
            if self.share:
                self.last = steady(self.last, answer.given["image"], array, self.share)
                array = self.last.depth
            write_frame(self.frames / f"{self.count:06d}", array, self.task, self.formats)
            self.show(self.view.show(array, answer.painting, answer.given, self.look))
            self.shape = array.shape
            self.count += 1

    def facts(self) -> AnswerRecord:
        return {
            "steady": self.share,
            "frames": self.count,
            "colours_to": self.look.high,
            "shape": list(self.shape),
        }


def write_frame(stem: Path, array: np.ndarray, task: str, formats: Sequence[Format]) -> None:
    """The array of a frame, in every format."""
    for row in formats:
        row.write(stem.with_name(stem.name + row.ending), array, task)


def _file(path: Path) -> Clip:
    facts = clip_facts(path)
    with opened(path) as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return Clip(
        name=path.stem,
        source=path,
        rate=facts.rate,
        size=facts.size,
        count=facts.count,
        frames=(),
        digest=digest,
    )


def _folder(path: Path) -> Clip:
    frames = [found.path for found in expand("IMAGE", [str(path)], photos=True)]
    digest = hashlib.sha256()
    for frame in frames:
        with opened(frame) as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    height, width = read_image(frames[0]).shape[1:]
    return Clip(
        name=path.resolve().name,
        source=path,
        rate=FRAMES_A_SECOND,
        size=(height, width),
        count=len(frames),
        frames=frames,
        digest=digest.hexdigest(),
    )


def _groups(task: Task, clip: Clip) -> Iterator[dict[str, list[np.ndarray]]]:
    """What the predictor is given, a few frames at a time."""
    items: Iterable[tuple[np.ndarray, ...]]
    items = pairwise(clip.read()) if task.takes_next_frame else ((frame,) for frame in clip.read())
    iterator, names = iter(items), ("image", *(given.argument for given in task.inputs))
    while group := list(islice(iterator, together(*clip.size))):
        yield {name: [item[i] for item in group] for i, name in enumerate(names)}


def _describe(clip: Clip, task: Task, view: View) -> AnswerRecord:
    meaning = {key: view.meaning[key] for key in ("units", "meaning")}
    return {
        "input": str(clip.source),
        "source": str(clip.source.resolve()),
        "view": task.view,
        "rate": float(clip.rate),
        **meaning,
    }
