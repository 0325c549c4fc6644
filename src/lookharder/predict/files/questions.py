"""What is asked about, as arguments or the lines of a manifest name it; no picture is looked at yet.

A manifest, PICTURES.jsonl in the place of IMAGE, has a line for each:

    {"image": "a.jpg"}
    {"image": "b.jpg", "second": "c.jpg"}                   flow
    {"image": "b.jpg", "mask": "m.png", "name": "cup"}      hidden objects; or "box": [9, 9, 80, 60], "point": [40, 30]

Paths in it begin at its folder. `name` is what results are called after, the image's own name if none is given.
"""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from lookharder.errors import InputError
from lookharder.jsons import as_object, read_lines
from lookharder.predict.files.records import AnswerRecord
from lookharder.predict.files.walk import Found, expand, pair, unique_names
from lookharder.predict.prompts import Prompt
from lookharder.tasks.base import Task
from lookharder.visualize.views import VIEWS

MANIFEST = ".jsonl"
PROMPTS = ("box", "point")
COMPANIONS = ("second", "mask")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Files that belong together.

    Attributes:
        name: of the image; those of results are built from it.
        image: the picture.
        companions: files of the task's inputs, by argument; None where there is no namesake.
        prompt: what is meant in the picture, in the place of a mask.
    """

    name: str
    image: Path
    companions: Mapping[str, Path | None]
    prompt: Prompt | None = None

    @property
    def about(self) -> tuple[str, ...]:
        """What its record says of the files: "source" and `COMPANIONS`."""
        given = {"mask": self.prompt} if self.prompt is not None else self.companions
        return str(self.image.resolve()), *(str(given.get(key, "")) for key in COMPANIONS)


def ask(
    task: Task,
    images: Sequence[str],
    companions: Mapping[str, Sequence[str] | None],
    *,
    recursive: bool = False,
    prompts: Sequence[Prompt] = (),
) -> list[Asked]:
    """What arguments ask about.

    Args:
        task: what is asked.
        images: files, folders or patterns, or a manifest alone.
        companions: likewise, one file for each image, of every argument that any task may need ("second", "mask").
        recursive: look into folders of folders.
        prompts: one for each image, in the place of its mask; none = masks are files.

    Raises:
        InputError: arguments that make no list of questions.
    """
    if task.name not in VIEWS:
        raise InputError("TASK", repr(task.name), f"one of {sorted(VIEWS)}")
    if "" in images:
        raise InputError("IMAGE", "''", "files, folders or patterns")
    if any(image.endswith(MANIFEST) for image in images):
        if len(images) > 1 or prompts or any(companions.values()):
            allowed = "nothing beside it: its lines say what belongs together"
            raise InputError("IMAGE", f"{', '.join(images)[:80]}, a manifest", allowed)
        return _read_manifest(task, Path(images[0]))
    found = expand("IMAGE", images, recursive=recursive, photos=True)
    needed = {given.argument for given in task.inputs}
    for argument, patterns in companions.items():
        if patterns and argument not in needed:
            got, allowed = repr(patterns[0]), f"nothing, with task {task.name!r}"
            raise InputError(f"--{argument}", got, allowed)
    if prompts:
        if "mask" not in needed or companions.get("mask"):
            allowed = "with task 'amodal', and no --mask"
            raise InputError("--box, --point", "given", allowed)
        if len(prompts) != len(found):
            allowed = f"{len(found)}, one for each IMAGE"
            raise InputError("--box, --point", f"{len(prompts)} of them", allowed)
        needed.discard("mask")
    partners: dict[str, list[Path | None]] = {}
    for argument in sorted(needed):
        others = expand(f"--{argument}", companions.get(argument) or [], recursive=recursive)
        partners[argument] = pair(f"--{argument}", found, others)
    return [
        Asked(
            name=each.name,
            image=each.path,
            companions={argument: paths[i] for argument, paths in partners.items()},
            prompt=prompts[i] if prompts else None,
        )
        for i, each in enumerate(found)
    ]


def named(questions: Sequence[Asked], records: Sequence[AnswerRecord]) -> list[Asked]:
    """The questions by names that differ: those of `records` of the same question go on, or else of the same image."""
    abouts = [each.about for each in questions]
    left = [(_about(record), str(record["name"])) for record in records if "name" in record]
    earlier: dict[int, str] = {}
    for length in (len(COMPANIONS) + 1, 1):
        names = defaultdict[tuple[str, ...], deque[str]](deque)
        for about, name in left:
            names[about[:length]].append(name)
        for place, about in enumerate(abouts):
            if place not in earlier and names[about[:length]]:
                earlier[place] = names[about[:length]].popleft()
        left = [(about, name) for about, name in left if name not in earlier.values()]
    found = [Found(path=each.image, name=each.name) for each in questions]
    unique = unique_names(
        found, earlier, [record["name"] for record in records if "name" in record]
    )
    return [replace(each, name=name) for each, name in zip(questions, unique, strict=True)]


def _about(record: AnswerRecord) -> tuple[str, ...]:
    return tuple(str(record.get(key, "")) for key in ("source", *COMPANIONS))


def _read_manifest(task: Task, path: Path) -> list[Asked]:
    """The questions of a manifest's lines.

    Raises:
        InputError: a line that is none, or that lacks what the task needs.
    """
    needed = {given.argument for given in task.inputs}
    questions = []
    for number, value in read_lines(path):
        line = f"{path}, line {number}"
        given = as_object(value, line)
        prompts = [_prompt(line, key, given[key]) for key in PROMPTS if key in given]
        wanted = {"image", *needed} - ({"mask"} if prompts else set())
        allowed = {*wanted, "name", *(PROMPTS if "mask" in needed else ())}
        if not wanted <= set(given) <= allowed or len(prompts) > 1:
            got = ", ".join(map(repr, given)) or "nothing"
            needs = ", ".join(sorted({"image", *needed} - {"mask"}))
            one = f" and one of mask, {', '.join(PROMPTS)}" if "mask" in needed else ""
            raise InputError(line, got, f"{needs}{one} for {task.name}, and `name` if wanted")
        texts = {key: given[key] for key in (*wanted, "name") if key in given}
        if not all(isinstance(text, str) and text for text in texts.values()):
            raise InputError(line, repr(texts)[:80], "texts")
        files = {key: path.parent / texts[key] for key in sorted(wanted)}
        image = files.pop("image")
        name = PurePosixPath(texts.get("name", image.stem))
        if name.is_absolute() or ".." in name.parts:
            raise InputError(line, f"name {str(name)!r}", "one that stays in the folder")
        prompt = prompts[0] if prompts else None
        questions.append(Asked(name=str(name), image=image, companions=files, prompt=prompt))
    if not questions:
        raise InputError(str(path), "no line", "one line or more")
    return questions


def _prompt(line: str, key: str, value: Any) -> Prompt:
    if not isinstance(value, list):
        raise InputError(line, f"{key} {str(value)[:40]}", "a list of whole numbers")
    try:
        return Prompt.parse(f"--{key}", ",".join(map(str, value)))
    except InputError as error:
        _, got, allowed = error.args
        raise InputError(f"{line}, {key}", got, allowed) from error
