"""What are draws worth, and steps? A shipped model's draws as forecasts, against one answer with fitted noise.

    python -m benchmarks forecasts.measure docs/results/forecasts.jsonl --model tiny --scenes 256
    python -m benchmarks forecasts.report docs/results/forecasts.jsonl docs/results/forecasts

`measure` appends a line for every setting that the file has not: kill it at any time. Scenes are held out, of the
embedded world and of the network's size. `--shown 0.5` leaves the network the left half of each picture, the rest is
grey: a dial of how much it cannot know. `report` writes OUT.md, with paired 95 % intervals over scenes, and OUT.png.
"""

import itertools
import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from benchmarks.harness import Device
from lookharder.chain import Chain, find
from lookharder.data.source import HELD_OUT_SEED, DataConfig, Remembered, open_data
from lookharder.evaluate.forecast import Rival, forecast, rival
from lookharder.evaluate.forecast_scores import forecast_scores
from lookharder.files import atomic
from lookharder.hardware import pick_device
from lookharder.jsons import read_lines
from lookharder.metrics.statistics import Interval, paired_bootstrap

MAIN = {"depth": "crps", "flow": "energy", "amodal": "ged"}  # the proper score of a task
UNITS = {"depth": "CRPS, share of the range", "flow": "energy score, pixels", "amodal": "GED"}
TITLES = {"depth": "Depth", "flow": "Flow", "amodal": "Hidden objects"}
RIVALS = {
    "laplace": ("C1", "Laplace noise"),
    "edges": ("C2", "wider at edges"),
    "errors": ("C3", "others' errors"),
}
FEW = 5  # objects of a row
HIDDEN = (0.0, 0.1, 0.3, 0.5, 1.0)  # bounds of the share of an object that is hidden
KEYS = ("model", "task", "draws_of", "steps", "members", "shown", "scenes")


def measure(
    out: Path,
    *,
    model: str = "tiny",
    tasks: tuple[str, ...] = ("depth", "flow", "amodal"),
    steps: tuple[int, ...] = (1, 2, 4, 10, 20),
    shown: tuple[float, ...] = (1.0,),
    members: int = 8,
    scenes: int = 256,
    device: Device = "cpu",
) -> None:
    chain = Chain.load(find(model)).to(pick_device(device))
    spec = f"procedural:{scenes}:{HELD_OUT_SEED}"
    data = Remembered(open_data(DataConfig(spec=spec, size=chain.config.resolution)), 2**28)
    done = (
        {tuple(row[key] for key in KEYS) for _, row in read_lines(out)} if out.exists() else set()
    )
    for task in tasks:
        asked = [("network", count) for count in steps]
        asked += [] if task == "amodal" else [(how, 1) for how in get_args(Rival)]
        for share in shown:
            for how, count in asked:
                place = (model, task, how, count, members, share, scenes)
                if place in done:
                    continue
                drawn = members if how == "network" else 1
                found = forecast(
                    chain,
                    task,
                    data,
                    steps=count,
                    members=drawn,
                    seed=0,
                    change=lambda image, share=share: cover(image, share),
                )
                if how != "network":
                    found = rival(found, how, members, 0)
                scores = {k: v.to_json() for k, v in forecast_scores(found, task).items()}
                row = {**dict(zip(KEYS, place, strict=True)), "scores": scores}
                if task == "amodal":
                    row["hidden"] = [hidden(data[i]) for i in range(scenes)]
                with out.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(row) + "\n")
                score = scores[MAIN[task]]
                print(task, share, how, f"T = {count}", f"{score['value']:.4f}", flush=True)


def cover(image: torch.Tensor, share: float) -> torch.Tensor:
    """Grey from so far to the right on."""
    kept = torch.arange(image.shape[-1]) < share * image.shape[-1]
    return torch.where(kept, image, 0.0)


def hidden(example: Any) -> float:
    """Share of the object that something hides."""
    return 1 - float(example.visible.sum() / max(1, example.amodal.sum()))


def report(records: Path, out: Path) -> None:
    rows = [row for _, row in read_lines(records)]
    with atomic(out.with_suffix(".md")) as aside:
        aside.write_text("\n".join(tables(rows)) + "\n", encoding="utf-8")
    draw(rows, out.with_suffix(".png"))


def tables(rows: list[dict[str, Any]]) -> list[str]:
    """A table a task and share shown: scores, the spread of draws over the error of their mean, paired differences."""
    lines = [
        "# Draws as forecasts",
        "",
        "Less is better, but for spread over error, which is 1 of a true posterior.",
        "",
    ]
    for task, main in MAIN.items():
        mine = [row for row in rows if row["task"] == task]
        for share in sorted({row["shown"] for row in mine}, reverse=True):
            part = [row for row in mine if row["shown"] == share]
            part.sort(key=lambda row: (row["draws_of"] != "network", row["draws_of"], row["steps"]))
            names = [name for name in part[0]["scores"] if name not in ("spread", "squares")]
            heads = [
                *names,
                "spread over error",
                f"{main}, less one step's",
                f"{main}, less laplace's",
            ]
            lines += [f"## {title(part[0])}", "", f"| draws of | T | {' | '.join(heads)} |"]
            lines += ["| --- | ---: " + "| ---: " * len(heads) + "|"]
            for row in part:
                scores = row["scores"]
                cells = [f"{scores[name]['value']:.4f}" for name in names]
                cells += [f"{np.sqrt(scores['spread']['value'] / scores['squares']['value']):.2f}"]
                cells += [cell(less(row, part, "network")), cell(less(row, part, "laplace"))]
                lines += [f"| {row['draws_of']} | {row['steps']} | {' | '.join(cells)} |"]
            lines += ["", *(by_hidden(part) if task == "amodal" else [])]
    return lines


def title(row: dict[str, Any]) -> str:
    part = "" if row["shown"] == 1 else f", the left {row['shown']:.0%} of the picture shown"
    return f"{row['task']}, {row['model']}, {row['members']} draws, {row['scenes']} scenes{part}"


def less(
    row: dict[str, Any], part: list[dict[str, Any]], other: str, chosen: np.ndarray | None = None
) -> Interval | None:
    """Its main score less that of other draws of one step, paired by scene; None without those, and of those."""
    main = MAIN[row["task"]]
    found = [r for r in part if (r["draws_of"], r["steps"]) == (other, 1)]
    if not found or found[0] is row:
        return None
    mine, theirs = (np.array(r["scores"][main]["per_image"]) for r in (row, found[0]))
    keep = np.ones(len(mine), bool) if chosen is None else chosen
    return paired_bootstrap(mine[keep], theirs[keep], 0)


def cell(gap: Interval | None) -> str:
    return "" if gap is None else f"{gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"


def by_hidden(part: list[dict[str, Any]]) -> list[str]:
    """What steps gain by how much of the object is hidden."""
    share, (one, *several) = np.array(part[0]["hidden"]), part
    heads = [f"T = {row['steps']}, less that" for row in several]
    lines = [f"| hidden | objects | ged, one step | {' | '.join(heads)} |"]
    lines += ["| --- | ---: | ---: " + "| ---: " * len(several) + "|"]
    for low, high in itertools.pairwise(HIDDEN):
        inside = within(share, low, high)
        if inside.sum() < FEW:
            continue
        first = np.array(one["scores"]["ged"]["per_image"])[inside].mean()
        cells = " | ".join(cell(less(row, part, "network", inside)) for row in several)
        lines += [f"| {low:.0%} to {high:.0%} | {inside.sum()} | {first:.3f} | {cells} |"]
    return [*lines, ""]


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """What steps gain over one step, and what one answer with noise does; and by how much is hidden."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 8), layout="constrained")
    *panels, last = figure.subplots(2, 2).flat
    for panel, task in zip(panels, MAIN, strict=True):
        mine = [row for row in rows if row["task"] == task and row["shown"] == 1]
        mine.sort(key=lambda row: row["steps"])
        several = [row for row in mine if row["draws_of"] == "network" and row["steps"] > 1]
        gaps = [less(row, mine, "network") for row in several]
        bars(panel, [row["steps"] for row in several], gaps, "8 draws of so many steps")
        for row in mine:
            if row["draws_of"] != "network":
                colour, name = RIVALS[row["draws_of"]]
                gap = less(row, mine, "network")
                panel.axhline(gap.mean, color=colour, ls="--", label=f"one step, {name}")
                panel.axhspan(gap.low, gap.high, color=colour, alpha=0.12, lw=0)
        panel.set(xscale="log", xlabel="denoising steps of a draw", title=TITLES[task])
        panel.set_ylabel(f"{UNITS[task]},\nless that of one step's draws")
        panel.set_xticks([row["steps"] for row in several], [row["steps"] for row in several])
    mine = [row for row in rows if row["task"] == "amodal"]
    share, spans = np.array(mine[0]["hidden"]), list(itertools.pairwise(HIDDEN))
    for row in sorted((r for r in mine if r["steps"] > 1), key=lambda r: r["steps"]):
        x = np.arange(len(spans)) + 0.08 * (np.log2(row["steps"]) - 2)
        gaps = [less(row, mine, "network", within(share, *span)) for span in spans]
        bars(last, x, gaps, f"draws of {row['steps']} steps", ls="")
    last.set_xticks(range(len(spans)), [f"{100 * a:.0f} to\n{100 * b:.0f} %" for a, b in spans])
    last.set(xlabel="hidden share of the object", ylabel="GED, less that of one step's draws")
    last.set_title("The more is hidden, the more steps gain")
    for panel in (*panels, last):
        panel.axhline(0, color="0.4", lw=0.8)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
        below = (0.5, -0.26 if panel is last else -0.18)  # its ticks have two lines
        panel.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=below, ncols=2)
    with atomic(path) as aside:
        figure.savefig(aside, dpi=110, format="png")


def bars(panel: Any, x: Any, gaps: list[Interval], label: str, **how: Any) -> None:
    mean, low, high = np.transpose(gaps)
    panel.errorbar(x, mean, [mean - low, high - mean], marker="o", capsize=3, label=label, **how)


def within(share: np.ndarray, low: float, high: float) -> np.ndarray:
    return (share >= low) & ((share < high) | (high == 1))
