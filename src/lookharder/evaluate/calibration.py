"""Can a model's uncertainty be believed? Members of each image against the truth; terms as in `metrics.calibration`.

            error of a pixel               uncertainty of it, in the same unit          trivial uncertainty
    depth   |aligned - target| / target    scale x spread / aligned, shares of depth    an equal spread everywhere
    flow    end-point error, pixels        median distance of the draws, pixels         predicted speed
    amodal  1 where the mask is wrong      share of members that disagree               nearness to the mask's outline

An uncertainty may use what a user has: the prediction, and for depth the scale and shift that make it metric, not the
target. It means something where it ranks errors better than the trivial one, which needs a single member.

The first half of the images fits the factor k of a bound, the second half tests it. Three forms of a bound keep the
same promise, and the tighter is the better:

    spread     error <= k u
    floored    error <= k (u + mean of u over the image)        where a few members agree by chance, u is far too small
    constant   error <= k                                       needs no members

Errors of masks are 0 or 1, so their bound is empty where few pixels are wrong: of a share of members one asks instead
whether it is the share of errors, which is `reliability`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from lookharder.config import to_json
from lookharder.data.example import Example
from lookharder.evaluate.evaluation import Evaluation
from lookharder.evaluate.survey import truth_of
from lookharder.metrics import calibration as metrics
from lookharder.metrics.protocol import Protocol
from lookharder.metrics.scores import SCORES
from lookharder.metrics.statistics import Interval, bootstrap_mean, in_words
from lookharder.predict.inputs import require
from lookharder.predict.predictor import Prediction
from lookharder.visualize.html import Table

Pixels = Sequence[tuple[np.ndarray, np.ndarray]]  # error and uncertainty, (P,), of each image
FACTORS = np.geomspace(0.1, 1000, 81)  # values of k at which coverage is reported


FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "spread": lambda u: u,
    "floored": lambda u: u + u.mean(),
    "constant": np.ones_like,
}


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Error <= factor x form(uncertainty), for at least `level` of the pixels of a new image on average.

    Attributes:
        form: which of `FORMS`.
        level: the promise.
        factor: k, fitted on `fitted` images; None where no finite one keeps the promise.
        fitted: how many images.
        held_out: how many others; the rest is measured on them, and None without a factor.
        coverage: share of their pixels within the bound: mean, low and high of its interval.
        width: mean of the bound, in the unit of the error.
    """

    form: str
    level: float
    factor: float | None
    fitted: int
    held_out: int
    coverage: Interval | None
    width: float | None


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Uncertainty of one model on one task and data set.

    Attributes:
        options: of the sampling, as those of `Evaluation`.
        rows: for each image its name, error, uncertainty, ause, aurg, spearman and `trivial.` ause, aurg, spearman.
        means: of each of these its mean over images, with low and high of the 95 % interval.
        sparsification: at each `fraction` taken away the error that is left, over the mean error: `model`, `oracle`,
            `trivial`; means over images.
        coverage: at each `factor` k the share of pixels with error <= k uncertainty, of the images that were
            `fitted` and of those `held_out`.
        bounds: one of each form, for one wanted share.
        across: rank correlation, over images, of mean uncertainty and error.
        reliability: masks only: for each share of disagreeing members the share of `pixels`, mean `forecast` and
            `outcome` (share of them that are wrong); `gap` is the mean of |forecast - outcome| over pixels.
    """

    model: str
    task: str
    data: str
    protocol: Protocol
    steps: int
    members: int
    seed: int
    options: Mapping[str, Any]
    rows: list[dict[str, Any]]
    means: dict[str, dict[str, float]]
    sparsification: dict[str, list[float]]
    coverage: dict[str, list[float]]
    bounds: tuple[Bound, ...]
    across: float
    reliability: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the hash of the protocol beside the protocol."""
        return {**to_json(self), "protocol_hash": self.protocol.hash}


class ErrorMaps:
    """Error and uncertainty of each image, pixel by pixel, taken while a model is evaluated.

        maps = ErrorMaps(task, rules)
        scores = evaluate(predictor, task, dataset, rules=rules, output_uncertainty=True, watch=maps.add, ...)
        found = calibration(scores, maps)

    Args:
        task: a row of `SCORES` with an error map.
        rules: the protocol.

    Attributes:
        rows: name and measures of each image, as those of `Calibration`.
        curves: sparsification of each, by the model's uncertainty and by the trivial one.
        pixels: error and uncertainty of each valid pixel, by image.
        bins: of each image, sums over the pixels of each share of disagreeing members, (3, bins).

    Raises:
        InputError: for a task without a notion of error.
    """

    def __init__(self, task: str, rules: Protocol) -> None:
        scored = sorted(name for name, score in SCORES.items() if score.error_map is not None)
        require(task in scored, "task", repr(task), f"one of {scored}")
        self.score, self.rules = SCORES[task], rules
        self.rows: list[dict[str, Any]] = []
        self.curves: list[tuple[metrics.Sparsification, metrics.Sparsification]] = []
        self.pixels: list[tuple[np.ndarray, np.ndarray]] = []
        self.bins: list[np.ndarray] = []

    def add(self, examples: Sequence[Example], result: Prediction) -> None:
        """Take a batch, with the uncertainty that was predicted for it; `watch` of `evaluate` calls it."""
        assert self.score.error_map is not None  # checked at the beginning
        require(result.uncertainty is not None, "output_uncertainty", False, "True")
        edges = (np.arange(result.members // 2 + 2) - 0.5) / result.members  # a bin for each share
        answers = zip(examples, result.prediction, result.spread, strict=True)
        for example, prediction, spread in answers:
            judged = self.score.error_map(
                np.moveaxis(prediction, -1, 0),  # (C, H, W)
                spread[..., 0].astype(np.float64),  # (H, W)
                truth_of(example, self.score),
                self.rules,
            )
            model = (judged.error, judged.uncertainty, judged.valid)
            trivial = (judged.error, judged.trivial, judged.valid)
            ranked = metrics.evaluate(*trivial)
            beside = {f"trivial.{key}": ranked[key] for key in ("ause", "aurg", "spearman")}
            self.rows.append({"name": example.name, **metrics.evaluate(*model), **beside})
            self.curves.append((metrics.sparsification(*model), metrics.sparsification(*trivial)))
            self.pixels.append((judged.error[judged.valid], judged.uncertainty[judged.valid]))
            if prediction.dtype == bool:
                self.bins.append(metrics.reliability(*model[:2], edges, model[2]))


def calibration(scores: Evaluation, maps: ErrorMaps, *, level: float = 0.9) -> Calibration:
    """Compare uncertainty with error over the images of an evaluation.

    Args:
        scores: of the evaluation; its seed is that of the intervals, too.
        maps: taken during it, of 2 images or more. A finite bound takes 2 level / (1 - level).
        level: share of pixels that the bound should cover.

    Raises:
        InputError: for too few images, or a level that is no share.
    """
    rows, seed, half = maps.rows, scores.seed, (len(maps.rows) + 1) // 2
    require(len(rows) > 1, "examples", len(rows), "2 or more: some fit, the others test")
    fitted, held_out = maps.pixels[:half], maps.pixels[half:]
    means = {key: [row[key] for row in rows] for key in rows[0] if key != "name"}
    return Calibration(
        model=scores.model,
        task=scores.task,
        data=scores.data,
        protocol=scores.protocol,
        steps=scores.steps,
        members=scores.members,
        seed=seed,
        options=scores.options,
        rows=rows,
        means={key: bootstrap_mean(values, seed)._asdict() for key, values in means.items()},
        sparsification=_left(maps.curves),
        coverage={
            "factor": FACTORS.tolist(),
            "fitted": _coverage(fitted),
            "held_out": _coverage(held_out),
        },
        bounds=tuple(_bound(form, fitted, held_out, level, seed) for form in FORMS),
        across=metrics.spearman(np.array(means["uncertainty"]), np.array(means["error"])),
        reliability=_reliability(np.sum(maps.bins, 0)) if maps.bins else None,
    )


NOTE = (
    "AUSE: area between the error left as uncertain pixels go and as wrong ones go, less is better. AURG: what that "
    "order gains over a random one. Rank: correlation of uncertainty and error within pictures."
)


def calibration_table(found: Calibration) -> Table:
    """How well the uncertainty ranks errors, beside the trivial one, and how widely each form bounds them."""
    rows = [
        (name, _shown(found.means[key]), _shown(found.means.get(f"trivial.{key}")))
        for name, key in (
            ("error", "error"),
            ("AUSE", "ause"),
            ("AURG", "aurg"),
            ("rank", "spearman"),
        )
    ]
    rows.append(("rank across images", f"{found.across:.3f}", ""))
    for bound in found.bounds:
        kept = (
            "no finite one"
            if bound.factor is None
            else f"k {bound.factor:.3g}, width {bound.width:.3g}"
        )
        rows.append((f"bound, {bound.form}, of {bound.level:.0%}", kept, ""))
    return Table(columns=("measure", "model", "trivial"), rows=rows)


def _shown(mean: dict[str, float] | None) -> str:
    return "" if mean is None else in_words(mean)


def _left(
    curves: Sequence[tuple[metrics.Sparsification, metrics.Sparsification]],
) -> dict[str, list[float]]:
    """Mean curves of the set, over its mean error."""
    mean = np.mean([model.mean for model, _ in curves]) or 1.0
    means = {
        "model": np.mean([model.curve for model, _ in curves], 0),
        "oracle": np.mean([model.oracle for model, _ in curves], 0),
        "trivial": np.mean([trivial.curve for _, trivial in curves], 0),
    }
    return {
        "fraction": metrics.FRACTIONS.tolist(),
        **{key: (curve / mean).tolist() for key, curve in means.items()},
    }


def _coverage(pixels: Pixels) -> list[float]:
    shares = [metrics.coverage(metrics.ratios(*pair), FACTORS) for pair in pixels]
    return [float(share) for share in np.mean(shares, 0)]


def _bound(form: str, fitted: Pixels, held_out: Pixels, level: float, seed: int) -> Bound:
    shape = FORMS[form]
    k = metrics.bounding_factor([metrics.ratios(e, shape(u)) for e, u in fitted], level)
    finite = bool(np.isfinite(k))
    shares = [float((metrics.ratios(e, shape(u)) <= k).mean()) for e, u in held_out]
    return Bound(
        form=form,
        level=level,
        factor=k if finite else None,
        fitted=len(fitted),
        held_out=len(held_out),
        coverage=bootstrap_mean(shares, seed) if finite else None,
        width=float(np.mean([k * shape(u).mean() for _, u in held_out])) if finite else None,
    )


def _reliability(sums: Float[np.ndarray, "3 bins"]) -> dict[str, Any]:
    """Sums over all images as shares; shares that no pixel has are left out."""
    count, forecast, outcome = sums[:, sums[0] > 0]
    return {
        "pixels": (count / count.sum()).tolist(),
        "forecast": (forecast / count).tolist(),
        "outcome": (outcome / count).tolist(),
        "gap": float(np.abs(forecast - outcome).sum() / count.sum()),
    }
