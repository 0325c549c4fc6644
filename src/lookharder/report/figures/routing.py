"""A routing report as a table, and as a figure: which experts do the work, where, for what and when.

The figure has a panel for each task and step: layers down, experts across, in each cell the share of picks in percent.
Colour is the share over the even share 1 / E, by octaves: white is even, red up to four times as much, blue down to a
quarter. The scale is the same for every model, so that figures can be compared.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from lookharder.data.formats import write_image
from lookharder.evaluate.routing import RoutingReport, Usage
from lookharder.files import write_json
from lookharder.visualize.html import Table

# ColorBrewer's RdBu, from rare (blue) to frequent (red)
# fmt: off
RDBU = (
    (5, 48, 97), (33, 102, 172), (67, 147, 195), (146, 197, 222), (209, 229, 240), (247, 247, 247),
    (253, 219, 199), (244, 165, 130), (214, 96, 77), (178, 24, 43), (103, 0, 31),
)
# fmt: on
OCTAVES = 2.0  # from the even share to either end of the colours
STEPS_SHOWN = 4  # panels of a task; of more steps the first, the last and some between
INK, SOFT = (29, 31, 36), (102, 112, 128)
LUMA = np.array([0.299, 0.587, 0.114])
MARGIN, GAP, LABELS, TEXT, SMALL, LINE = 40, 32, 72, 28, 20, 28  # pixels
SCALE, WORDED = (640, 22), (44, 24)  # of the scale of colours; of the smallest cell with a figure
NOTE = (
    "Means over layers and steps, the worst in brackets. Evenness is the entropy of the picks over log E, imbalance "
    "the largest share times E: both are 1 where use is even. Experts are layer/number, with their share of the picks. "
    "Token H is the entropy of a token's router probabilities, nats."
)


def write_report(report: RoutingReport, folder: Path) -> None:
    """Write `routing.json` and `routing.png`."""
    write_json(folder / "routing.json", report.to_json())
    write_image(folder / "routing.png", np.moveaxis(figure(report), -1, 0))


def summary(report: RoutingReport) -> Table:
    """One row for each task, over its steps and layers; see `NOTE`."""
    rows = []
    for task in report.tasks:
        uses = [use for use in report.usage if use.task == task]
        evenness = [use.relative_entropy for use in uses]
        busy = max(uses, key=lambda use: max(use.share))
        idle = min(uses, key=lambda use: min(use.share))
        rows.append(
            (
                task,
                f"{np.mean(evenness):.2f} [{min(evenness):.2f}]",
                f"{np.mean([use.imbalance for use in uses]):.1f} [{busy.imbalance:.1f}]",
                _expert(busy, int(np.argmax(busy.share))),
                _expert(idle, int(np.argmin(idle.share))),
                f"{np.mean([use.token_entropy for use in uses]):.2f}",
                str(sum(use.dropped for use in uses)),
            )
        )
    columns = ("task", "evenness", "imbalance", "busiest", "idlest", "token H", "dropped")
    return Table(columns=columns, rows=rows)


def _expert(use: Usage, expert: int) -> str:
    return f"{use.layer}/{expert} {use.share[expert]:.0%}"


def colours(shares: Float[np.ndarray, "*n"], experts: int) -> UInt8[np.ndarray, "*n 3"]:
    """The colour of shares among E experts; a share of none has the last blue."""
    octaves = np.log2(np.maximum(shares * experts, 2.0**-OCTAVES))  # 0 is even
    knots = np.linspace(-OCTAVES, OCTAVES, len(RDBU))
    channels = [np.interp(octaves, knots, channel) for channel in np.array(RDBU).T]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def figure(report: RoutingReport) -> UInt8[np.ndarray, "H W 3"]:
    """The figure: tasks down, steps across; tasks across where there is one step."""
    steps = sorted({round(i) for i in np.linspace(0, report.steps - 1, STEPS_SHOWN)})
    rows = [[report.of(task, step) for step in steps] for task in report.tasks]
    if len(steps) == 1:
        rows = [[uses for (uses,) in rows]]
    cell = max(2, min(58, 720 // report.experts)), 34 if report.layers <= 40 else 14
    pitch = max(190, cell[0] * report.experts + GAP), cell[1] * report.layers + 3 * GAP
    heading = (
        f"{report.model} on {report.data}",
        f"{report.active} of {report.experts} experts per token, pictures: {report.pictures}, "
        f"steps: {report.steps}, draws: {report.members}",
    )
    left, top = MARGIN + LABELS, MARGIN + TEXT + 2 * LINE + GAP + LINE
    below = top + len(rows) * pitch[1]
    small = _font(SMALL)
    written = MARGIN + int(max(small.getlength(line) for line in heading))
    right = max(left + len(rows[0]) * pitch[0] - GAP, written, left + SCALE[0])
    page = Image.new("RGB", (right + MARGIN, below + SCALE[1] + 2 * LINE + MARGIN), "white")
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, MARGIN), "Share of picks of each expert, %", fill=INK, font=_font(TEXT))
    for i, line in enumerate(heading):
        draw.text((MARGIN, MARGIN + TEXT + 12 + i * LINE), line, fill=SOFT, font=small)
    for i, row in enumerate(rows):
        for j, uses in enumerate(row):
            corner = left + j * pitch[0], top + i * pitch[1]
            _panel(draw, corner, cell, uses, first=j == 0)
    _scale(draw, (left, below), report.experts)
    return np.array(page)


def _panel(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    cell: tuple[int, int],
    uses: Sequence[Usage],
    first: bool,
) -> None:
    """One heat map with its top left at `corner`; the first of a row names the layers."""
    (x0, y0), (w, h), font = corner, cell, _font(SMALL)
    shares = np.array([use.share for use in uses])  # (layers, E)
    layers, experts = shares.shape
    below, seam = y0 + h * layers + 6, 2 if w >= 12 else 1
    for (layer, expert), share in np.ndenumerate(shares):
        x, y = x0 + w * expert, y0 + h * layer
        colour = colours(shares[layer, expert : expert + 1], experts)[0]
        draw.rectangle((x, y, x + w - seam, y + h - seam), fill=tuple(colour.tolist()))
        if w >= WORDED[0] and h >= WORDED[1]:
            ink = "white" if colour @ LUMA < 128 else INK
            draw.text((x + w // 2, y + h // 2), _percent(share), fill=ink, font=font, anchor="mm")
    draw.text((x0, y0 - 8), f"{uses[0].task}, t = {uses[0].time}", fill=INK, font=font, anchor="ls")
    for expert in range(0, experts, -(-30 // w)):
        at = x0 + w * expert + w // 2, below
        draw.text(at, str(expert), fill=SOFT, font=font, anchor="mt")
    if first:
        draw.text((x0 - 12, y0 - 8), "layer", fill=SOFT, font=font, anchor="rs")
        draw.text((x0 - 12, below), "expert", fill=SOFT, font=font, anchor="rt")
        for layer in range(0, layers, -(-24 // h)):
            at = x0 - 12, y0 + h * layer + h // 2
            draw.text(at, str(layer), fill=SOFT, font=font, anchor="rm")


def _scale(draw: ImageDraw.ImageDraw, corner: tuple[int, int], experts: int) -> None:
    """The colours from a quarter of the even share to four times as much, the even share marked."""
    (x, y), (width, height), font = corner, SCALE, _font(SMALL)
    for i in range(width):
        share = 2.0 ** (OCTAVES * (2 * i / (width - 1) - 1)) / experts
        colour = colours(np.array([share]), experts)[0]
        draw.line((x + i, y, x + i, y + height), fill=tuple(colour.tolist()))
    draw.rectangle((x, y, x + width, y + height), outline=SOFT)
    labels = ("1/4 x or less", "1/2 x", f"even, 1/{experts}", "2 x", "4 x or more")
    for i, label in enumerate(labels):
        at = x + width * i // (len(labels) - 1)
        reach = 10 if label.startswith("even") else 4
        draw.line((at, y - (reach if reach > 4 else 0), at, y + height + reach), fill=INK, width=2)
        anchor = "lt" if i == 0 else "rt" if i == len(labels) - 1 else "mt"
        draw.text((at, y + height + 14), label, fill=INK, font=font, anchor=anchor)


def _percent(share: float) -> str:
    return "<1" if 0 < share < 0.005 else f"{100 * share:.0f}"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
