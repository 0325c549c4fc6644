"""The page of a folder of results: a section for each task, a card for each record."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lookharder.visualize.html import GalleryCard, PageImage, Section, write_gallery
from lookharder.visualize.views import VIEWS, view_of

UNSURE = "uncertainty: pale is sure"


def write_results(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write the page of records that `predict_files` made; older ones, whose files have other names, are not shown."""
    shown = [record for record in records if "name" in record]
    tasks = list(dict.fromkeys(record["task"] for record in shown))
    sections = []
    for task in tasks:
        own = [record for record in shown if record["task"] == task]
        heading = VIEWS[task].title if len(tasks) > 1 else ""
        sections.append(Section(heading=heading, text=_lead(own), cards=list(map(_card, own))))
    count = _count(shown)
    lead = f"{count}. Arrays and what they mean are listed in predictions.jsonl."
    write_gallery(path, title=f"lookharder: {', '.join(tasks)}", lead=lead, sections=sections)


def _lead(records: Sequence[Mapping[str, Any]]) -> str:
    """What the records of a task have in common, in words."""
    meanings = " / ".join(dict.fromkeys(record["meaning"] for record in records))
    said = [f"{meanings[0].upper()}{meanings[1:]}."]
    said += [f"Model {_either(records, 'model')}, {_counted(records, 'steps')},"]
    said += [f"{_counted(records, 'members')}, seed {_either(records, 'seed')}."]
    said += [
        f"Chosen for a budget of {choice}."
        for choice in dict.fromkeys(record["choice"] for record in records)
        if choice
    ]
    return " ".join(said)


def _count(records: Sequence[Mapping[str, Any]]) -> str:
    clips = sum("frames" in record for record in records)
    kinds = {"image": len(records) - clips, "clip": clips}
    return ", ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in kinds.items() if n)


def _either(records: Sequence[Mapping[str, Any]], key: str) -> str:
    return " or ".join(dict.fromkeys(str(record[key]) for record in records))


def _counted(records: Sequence[Mapping[str, Any]], key: str) -> str:
    """A number of steps or members, or the least and the most."""
    least, most = (fold(record[key] for record in records) for fold in (min, max))
    if least == most == 1:
        return f"1 {key.removesuffix('s')}"
    return f"{most} {key}" if least == most else f"{least} to {most} {key}"


def _clip_card(record: Mapping[str, Any]) -> GalleryCard:
    files, (height, width) = record["files"], record["shape"][-2:]
    longest = f", longest {record['colours_to']:.1f} px" if record["task"] == "flow" else ""
    facts = {
        "size": f"{width} x {height}",
        "worked at": f"{record['resolution'][1]} x {record['resolution'][0]}",
        "frames": f"{record['frames']} at {record['rate']:.3g} a second",
        "time": f"{record['seconds']:.1f} s",
        "compute": f"{record['macs'] / 1e9:.1f} GMACs",
    }
    caption = f"{record['task']}, one range of colours{longest}"
    return GalleryCard(
        title=Path(record["input"]).name,
        pictures=[PageImage(file=files["video"], caption=caption)],
        facts=facts,
        downloads=[files["frames"]],
    )


def _card(record: Mapping[str, Any]) -> GalleryCard:
    if "video" in record["files"]:
        return _clip_card(record)
    files, (height, width) = record["files"], record["shape"][-2:]
    view = view_of(record["view"])
    captions, both = dict(view.captions(record)), (view.main, "input")
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
    return GalleryCard(
        title=Path(record["input"]).name,
        pictures=[
            PageImage(file=files[role], caption=text)
            for role, text in captions.items()
            if role in files
        ],
        facts=facts,
        downloads=[file for role, file in files.items() if role not in captions],
        compare=[files[role] for role in both] if all(role in files for role in both) else [],
    )
