"""Do steps pay where the answer is less certain? Draws of depth against one answer with noise, pixel by pixel.

    python -m benchmarks ambiguity MODEL [MODEL ...] --scenes 256 --out docs/results/ambiguity.md

Pixels of held-out scenes are put into cells by what can be seen without the truth: the distance to an edge of the
model's one-step answer, and how much texture the picture has there. Each cell has the width of the Laplace noise that
is best for one step's answer, fitted on the other half of the scenes. Bins are fifths of all pixels, by that width,
and by texture alone. In each: the CRPS of draws of one step and of many, and of the one answer with that noise; what
many steps gain on either, with 95 % intervals over scenes. Models of one setting and of several seeds have a column
each.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness import Device
from lookharder.chain import Chain, find
from lookharder.data.source import HELD_OUT_SEED, DataConfig, Remembered, open_data
from lookharder.evaluate.forecast import Forecast, best_width, forecast, laplace_crps, rings_of
from lookharder.files import atomic
from lookharder.hardware import pick_device
from lookharder.metrics.draws import crps
from lookharder.metrics.statistics import bootstrap_mean

BINS = 5  # of as many pixels each, but for the ties of cells
AROUND = 5  # pixels a side in which texture is measured
FEW = 20  # known pixels of a scene in a bin, for the scene to count there


@dataclass(frozen=True, kw_only=True, eq=False)
class Pixels:
    """Of every pixel (scenes, H, W): what is known of it, what is expected of it, and what came of it."""

    known: np.ndarray
    width: np.ndarray
    texture: np.ndarray
    one: np.ndarray
    many: np.ndarray
    noise: np.ndarray


def measure(model: str, *, scenes: int, steps: int, members: int, device: Device) -> Pixels:
    """CRPS of a model's draws, and of its one answer with noise."""
    chain = Chain.load(find(model)).to(pick_device(device))
    spec = f"procedural:{scenes}:{HELD_OUT_SEED}"
    data = Remembered(open_data(DataConfig(spec=spec, size=chain.config.resolution)), 2**28)

    def draws(count: int, number: int) -> Forecast:
        return forecast(chain, "depth", data, steps=count, members=number, seed=0)

    answer, one, many = draws(1, 1), draws(1, members), draws(steps, members)
    misses = np.where(answer.known, answer.truth[:, 0] - answer.draws[0, :, 0], 0.0)
    texture = fifths(local_deviation(answer.luma), answer.known)
    cells = rings_of(answer.draws[0]) * BINS + texture
    width = np.empty(misses.shape)
    half = np.arange(len(misses)) % 2
    for here in (half == 0, half == 1):
        other = answer.known[~here]
        for cell in np.unique(cells):
            there = other & (cells[~here] == cell)
            fitted = misses[~here][there if there.any() else other]
            width[here] = np.where(cells[here] == cell, best_width(fitted), width[here])
    return Pixels(
        known=answer.known,
        width=width,
        texture=texture,
        one=crps(one.draws[:, :, 0], one.truth[:, 0]),
        many=crps(many.draws[:, :, 0], many.truth[:, 0]),
        noise=laplace_crps(misses, width),
    )


def local_deviation(luma: np.ndarray) -> np.ndarray:
    """Standard deviation of brightness around each pixel."""
    from scipy.ndimage import uniform_filter

    size = (1, AROUND, AROUND)
    spread = uniform_filter(luma**2, size) - uniform_filter(luma, size) ** 2
    deviation: np.ndarray = np.sqrt(spread.clip(0))
    return deviation


def fifths(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which fifth of the known values each lies in, 0 the lowest."""
    bounds = np.quantile(values[known], np.arange(1, BINS) / BINS)
    place: np.ndarray = np.digitize(values, bounds)
    return place


def gain(better: np.ndarray, than: np.ndarray, inside: np.ndarray) -> str:
    """How much less the one is than the other inside a bin, the mean over scenes with its interval."""
    count = inside.sum((1, 2))
    total = np.where(inside, than - better, 0.0).sum((1, 2))
    mean, low, high = bootstrap_mean(total[count >= FEW] / count[count >= FEW], 0)
    return f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"


def table(title: str, found: list[Pixels], bins: list[np.ndarray]) -> list[str]:
    heads = [title, "width", "CRPS: one step's draws", "many steps' draws", "one answer with noise"]
    for number in range(len(found)):
        of = f", model {number + 1}" if len(found) > 1 else ""
        heads += [f"steps gain on one step{of}", f"on one answer with noise{of}"]
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join(['---'] + ['---:'] * (len(heads) - 1))} |"]
    for place in range(BINS):
        insides = [p.known & (b == place) for p, b in zip(found, bins, strict=True)]
        cells = [str(place + 1)]
        for name in ("width", "one", "many", "noise"):
            means = [getattr(p, name)[i].mean() for p, i in zip(found, insides, strict=True)]
            cells.append(f"{np.mean(means):.4f}")
        for pixels, inside in zip(found, insides, strict=True):
            cells.append(gain(pixels.many, pixels.one, inside))
            cells.append(gain(pixels.many, pixels.noise, inside))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def run(
    models: tuple[str, ...],
    *,
    out: Path,
    scenes: int = 256,
    steps: int = 10,
    members: int = 8,
    device: Device = "cpu",
) -> None:
    asked = {"scenes": scenes, "steps": steps, "members": members, "device": device}
    found = [measure(model, **asked) for model in models]
    lines = [
        "# What steps gain where the answer is less certain",
        "",
        f"Depth, {scenes} held-out scenes, {members} draws of {steps} steps; CRPS in shares of the range, less is "
        f"better. Models: {len(models)}, of as many seeds.",
        "",
        "By the width of the best Laplace noise of one step's answer, fifths of all pixels:",
        "",
        *table("width, fifth", found, [fifths(p.width, p.known) for p in found]),
        "",
        f"By texture (the standard deviation of brightness in {AROUND} x {AROUND} pixels), fifths, the least first:",
        "",
        *table("texture, fifth", found, [p.texture for p in found]),
    ]
    with atomic(out) as aside:
        aside.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
