"""How each task is scored: the table `SCORES`. To add a task, write its metrics and add its row.

A prediction comes as (C, H, W), the truth as the annotations of one image. Beside each score stands that of the
trivial answers, which need no network: the best map that ignores the image (depth), no motion and OpenCV's search
for it (flow), the visible mask and its convex hull (hidden objects).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from lookharder.errors import InputError
from lookharder.metrics import depth as depth_metrics
from lookharder.metrics import flow as flow_metrics
from lookharder.metrics import segmentation
from lookharder.metrics.error_maps import ErrorMap, depth_errors, flow_errors, mask_errors
from lookharder.metrics.flow import inverse_search
from lookharder.metrics.forecasts import DEPTH_DRAWS, FLOW_DRAWS, MASK_DRAWS, ForecastRule
from lookharder.metrics.protocol import Protocol, Truth, depth_mask, flow_mask, flow_regions

MAP_SIDE = 64  # side of the mean map among the depth baselines
BEST = "_best_of_"  # between the name of a metric and how many answers the best was taken of

MetricValues = Mapping[str, float | None]
TrivialAnswer = Callable[[Truth], np.ndarray]  # a trivial answer to one image, (C, H, W)


@dataclass(frozen=True, kw_only=True)
class Score:
    """How predictions of a task are judged.

    Attributes:
        needs: annotations without which an example cannot be scored, by their names in `Example`.
        judged: (truth, protocol) -> pixels that are scored, (H, W) bool; a image without one cannot be.
        evaluate: (prediction (C, H, W), truth, protocol) -> metrics of one image; None where one does not apply.
        trivial: (all truths of a set, protocol) -> trivial answers by name.
        main: metrics that a table shows; the first stands for the task.
        studied: metrics that a scaling study records.
        higher: metrics of which more is better.
        regions: (truth, protocol) -> pixels of the parts of a picture that have a score of their own, by name.
        note: what a reader of the table must know.
        error_map: (prediction, uncertainty (H, W), truth, protocol) -> error and uncertainty by pixel; None where
            the task has no notion of either.
        trivial_uncertainty: what the trivial uncertainty of `error_map` is, in words.
        dimensions: of the space in which the error of a pixel is a distance.
        forecast: how draws are scored as a forecast; None where they are not.
    """

    needs: tuple[str, ...]
    evaluate: Callable[[np.ndarray, Truth, Protocol], MetricValues]
    trivial: Callable[[Iterable[Truth], Protocol], Mapping[str, TrivialAnswer]]
    main: tuple[str, ...]
    studied: tuple[str, ...]
    judged: Callable[[Truth, Protocol], np.ndarray] = lambda truth, rules: np.ones(1, bool)
    higher: frozenset[str] = frozenset()
    regions: Callable[[Truth, Protocol], Mapping[str, np.ndarray]] = lambda truth, rules: {}
    note: str = ""
    error_map: Callable[[np.ndarray, np.ndarray, Truth, Protocol], ErrorMap] | None = None
    trivial_uncertainty: str = ""
    dimensions: int = 1
    forecast: ForecastRule | None = None

    def grows(self, metric: str) -> bool:
        """Whether more of a metric is better."""
        return metric.partition(BEST)[0] in self.higher

    def error(self, metric: str, value: float) -> float:
        """A metric as an error: of one that grows with skill, what 1 lacks."""
        return 1 - value if metric in self.higher else value

    def error_name(self, metric: str) -> str:
        """What a metric is called as an error: "iou" -> "iou_error"."""
        return f"{metric}_error" if metric in self.higher else metric


def _depth(prediction: np.ndarray, truth: Truth, rules: Protocol) -> MetricValues:
    target, mask = truth["depth"], depth_mask(truth, rules)
    limits = rules.depth_space, rules.min_depth, rules.max_depth, rules.align_side
    aligned, _ = depth_metrics.align_depth(prediction[0], target, mask, *limits)
    steps = depth_metrics.boundary_f1(aligned, target, mask)
    return {**depth_metrics.evaluate(aligned, target, mask), "boundary_f1": steps}


def _flow(prediction: np.ndarray, truth: Truth, rules: Protocol) -> MetricValues:
    asked = prediction, truth["flow"], flow_mask(truth, rules)
    parts = {
        f"epe_{name}": flow_metrics.evaluate(*asked[:2], mask)["epe"] if mask.any() else None
        for name, mask in flow_regions(truth, rules).items()
    }
    whole = {**flow_metrics.evaluate(*asked), "epe_fitted": flow_metrics.epe_fitted(*asked)}
    return {**whole, **parts}


def _grey_frames(truth: Truth) -> list[np.ndarray]:
    return [truth[name].mean(0).round().astype(np.uint8) for name in ("image", "second")]


def _search(truth: Truth) -> np.ndarray:
    """What one would take instead."""
    return inverse_search(*_grey_frames(truth))


def _farneback(truth: Truth) -> np.ndarray:
    """Flow by polynomial expansion (Farneback, SCIA 2003), OpenCV's, with the settings of its tutorial."""
    import cv2

    flow = cv2.calcOpticalFlowFarneback(*_grey_frames(truth), None, 0.5, 3, 15, 3, 5, 1.2, 0)  # type: ignore[call-overload]  # as above
    moved: np.ndarray = np.moveaxis(flow, -1, 0)
    return moved


def _amodal(prediction: np.ndarray, truth: Truth, rules: Protocol) -> MetricValues:
    return segmentation.evaluate(prediction[0], truth["amodal"], truth["visible"])


def _depth_trivial(truths: Iterable[Truth], rules: Protocol) -> dict[str, TrivialAnswer]:
    """Maps that do not depend on the image: flat, a vertical ramp, and the mean of this very ground truth.

    The mean map sees the answers, so with many images it is a bound on what ignoring the image can reach.
    """
    mean = np.mean([_normalise(truth, rules) for truth in truths], axis=0)
    ramp = np.linspace(1, 0, MAP_SIDE)[:, None].repeat(MAP_SIDE, 1)
    return {
        "flat": lambda truth: np.ones((1, *truth["depth"].shape)),
        "ramp": lambda truth: _resize(ramp, *truth["depth"].shape)[None],
        "mean_map": lambda truth: _resize(mean, *truth["depth"].shape)[None],
    }


def _normalise(truth: Truth, rules: Protocol) -> np.ndarray:
    """Ground truth by its quantiles in [0, 1] at the size of the mean map; unknown pixels take the median."""
    depth, mask = truth["depth"].astype(np.float64), depth_mask(truth, rules)
    low, high = np.quantile(depth[mask], [0.02, 0.98])
    depth = np.where(mask, depth, np.median(depth[mask]))
    return _resize(np.clip((depth - low) / max(high - low, 1e-6), 0, 1), MAP_SIDE, MAP_SIDE)


def _resize(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map (H, W) at another size, bilinear."""
    tensor = torch.from_numpy(values)[None, None]
    return F.interpolate(tensor, size=(height, width), mode="bilinear")[0, 0].numpy()


SCORES: dict[str, Score] = {
    "depth": Score(
        needs=("depth", "depth_valid"),
        judged=depth_mask,
        evaluate=_depth,
        trivial=_depth_trivial,
        main=("abs_rel", "rmse", "delta1"),
        studied=("abs_rel", "delta1"),
        higher=frozenset({"delta1", "delta2", "delta3", "boundary_f1"}),
        note="Depth is aligned to the truth by scale and shift. mean_map is the mean of this very truth: it sees the "
        "answers, so with few scenes it is hard to beat.",
        error_map=depth_errors,
        trivial_uncertainty="equal spread everywhere",
        forecast=DEPTH_DRAWS,
    ),
    "flow": Score(
        needs=("second", "flow", "flow_valid"),
        judged=flow_mask,
        evaluate=_flow,
        trivial=lambda truths, rules: {
            "zero": lambda truth: np.zeros_like(truth["flow"]),
            "farneback": _farneback,
            "dis": _search,
        },
        main=("epe", "fl_all", "px1"),
        studied=("epe",),
        higher=frozenset({"px1", "px3", "px5"}),
        regions=flow_regions,
        note="Flow in pixels, fitted to nothing; epe_fitted is after a fit of each component to the truth by scale and "
        "shift. zero says that nothing moves; farneback and dis are OpenCV's searches for motion.",
        error_map=flow_errors,
        trivial_uncertainty="by predicted speed",
        dimensions=2,
        forecast=FLOW_DRAWS,
    ),
    "amodal": Score(
        needs=("amodal", "visible"),
        judged=lambda truth, rules: truth["visible"] | truth["amodal"],
        evaluate=_amodal,
        trivial=lambda truths, rules: {
            "visible": lambda truth: truth["visible"][None],
            "hull": lambda truth: segmentation.convex_hull(truth["visible"])[None],
        },
        main=("iou", "iou_occluded", "iou_invisible", "boundary_f"),
        studied=("iou", "iou_invisible"),
        higher=frozenset({"iou", "boundary_f", *segmentation.PARTS, *segmentation.BY_OCCLUSION}),
        note="visible repeats the given part, hull is its convex hull; iou_occluded leaves out objects that nothing "
        "hides, iou_invisible counts the hidden part alone; iou_hidden_A_B is of objects of which A to B % are hidden.",
        error_map=mask_errors,
        trivial_uncertainty="nearness to the outline",
        forecast=MASK_DRAWS,
    ),
}


def forecast_rule(task: str) -> ForecastRule:
    """How draws of a task are scored as a forecast.

    Raises:
        InputError: they are not.
    """
    rules = {name: score.forecast for name, score in SCORES.items() if score.forecast is not None}
    if task not in rules:
        raise InputError("task", repr(task), f"one of {sorted(rules)}, whose draws are scored")
    return rules[task]
