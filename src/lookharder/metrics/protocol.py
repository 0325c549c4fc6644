"""How predictions are scored, written down: a score means nothing without its protocol.

The hash of a protocol stands in every result, so that two numbers are compared only where they may be.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lookharder.config import to_json
from lookharder.errors import InputError

LATER: Mapping[str, Any] = {  # added since, with their defaults: hashes of before stay
    "pooled": (),
    "align_side": None,
    "own_mask": False,
    "regions": (),
}
Truth = Mapping[str, np.ndarray]  # annotations of one image by their names in `Example`


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How predictions of a task are scored on a data set.

    Attributes:
        name: what a table calls it.
        task: the task.
        min_depth: depth below which ground truth is not scored and predictions are clipped, metres.
        max_depth: likewise above.
        depth_space: where scale and shift are fitted: depth, or log depth or disparity for a model that predicts those.
        max_flow: motion above which ground truth is not scored, pixels; None scores all.
        align_side: longest side, pixels, of the nearest pixels on which scale and shift are fitted; None = all pixels.
        own_mask: the set's own mask alone says what is scored; the range of depths only bounds predictions.
        regions: parts of a picture that have a score of their own: "matched" and "unmatched", pixels of which the point
            is seen in the second frame, and is not.
        pooled: metrics whose mean is over all pixels that are scored, as RAFT's of Fl-all; of others it is over images.
    """

    name: str
    task: str
    min_depth: float = 1e-3
    max_depth: float = 80.0
    depth_space: Literal["linear", "log", "disparity"] = "linear"
    max_flow: float | None = None
    pooled: tuple[str, ...] = ()
    align_side: int | None = None
    own_mask: bool = False
    regions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.min_depth < self.max_depth:
            got = f"{self.min_depth:g} to {self.max_depth:g} m"
            raise InputError("min_depth, max_depth", got, "0 <= min_depth < max_depth")
        if self.max_flow is not None and not self.max_flow > 0:
            raise InputError("max_flow", self.max_flow, "a positive number of pixels, or None")

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of everything the protocol says."""
        said = {k: v for k, v in to_json(self).items() if k not in LATER or v != to_json(LATER[k])}
        text = json.dumps(said, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def depth_mask(truth: Truth, rules: Protocol) -> np.ndarray:
    """(H, W) bool, pixels whose depth is scored."""
    if rules.own_mask:
        return truth["depth_valid"]
    depth = truth["depth"]
    mask: np.ndarray = truth["depth_valid"] & (depth > rules.min_depth) & (depth < rules.max_depth)
    return mask


def flow_mask(truth: Truth, rules: Protocol) -> np.ndarray:
    """(H, W) bool, pixels whose motion is scored."""
    if rules.max_flow is None:
        return truth["flow_valid"]
    mask: np.ndarray = truth["flow_valid"] & (np.hypot(*truth["flow"]) <= rules.max_flow)
    return mask


def flow_regions(truth: Truth, rules: Protocol) -> dict[str, np.ndarray]:
    """(H, W) bool by name, the parts of what is scored that have a score of their own.

    Raises:
        InputError: a part that is not known, or a set that does not say what is occluded.
    """
    if not rules.regions:
        return {}
    if "occluded" not in truth:
        raise InputError("--data", "no `occluded`", f"a set that annotates it, for {rules.regions}")
    scored = flow_mask(truth, rules)
    parts = {"matched": scored & ~truth["occluded"], "unmatched": scored & truth["occluded"]}
    if strangers := set(rules.regions) - parts.keys():
        raise InputError("rules.regions", sorted(strangers), ", ".join(parts))
    return {name: parts[name] for name in rules.regions}
