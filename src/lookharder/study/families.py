"""From records to what the planner chooses from: families of the nano networks for depth.

    dense, 32 pixels       error by (parameters, images), of every whole training, half of it pre-training and half
                           fine-tuning, inside a ceiling, as short trainings end near the image-independent baseline
                           (`benchmarks/law_forms.py` holds it against other forms); the effects of steps and
                           draws, by all networks that were asked with several
    dense, other sides     the same, times the error at that side over that at 32 pixels
    upcycled to 8E2A       the same, from where the dense training of 1,500 + 1,500 iterations ends, times the error
                           with experts over that without, after as many more

The last two were measured at few sizes and one length, and take for granted that what they found there holds at others:
a family says so in `assumes`, and beyond those its plans extrapolate. What has no records has no family.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lookharder.models.flops import breakdown
from lookharder.models.moe import MoEConfig
from lookharder.report.compare import MOST, gains, pairs, settle
from lookharder.scaling.law import Law, fit_law
from lookharder.scaling.laws import Effect, Family, FamilySize
from lookharder.scaling.record import Record
from lookharder.study.nano import NANO, system

TASK, METRIC, SIDE, BATCH = "depth", "abs_rel", 32, 32
WHOLE = ("model-size", "allocation")  # studies whose trainings are whole
ASKED = ("steps", "draws", "trade")  # studies of what is done at test time
PLACES = 12  # of a law of size and images: of fewer its six unknowns are not told apart
EXPERTS, ACTIVE = 8, 2


def families(records: Iterable[Record], resamples: int = 1000) -> tuple[Family, ...]:
    """The families that some records know enough of; none without the dense one.

    Args:
        records: of any studies.
        resamples: of each law, for its intervals.
    """
    ours = _nano(records)
    whole = whole_trainings(ours)
    places = {(r.active_params, r.train_images) for r in whole}
    if len(places) < PLACES or min(len(set(values)) for values in zip(*places, strict=True)) < 3:
        return ()
    training = fit_law(
        {
            "params": [r.active_params for r in whole],
            "images": [float(r.train_images or 0) for r in whole],
        },
        [r.value for r in whole],
        bounded=True,
        per_image=_pictures(whole),
        resamples=resamples,
    )
    dense = Family(
        name=f"{TASK}-{SIDE}-dense",
        task=TASK,
        metric=METRIC,
        resolution=SIDE,
        architecture="dense",
        batch=BATCH,
        sizes=tuple(_size(name, SIDE) for name in NANO),
        training=training,
        effects=_effects(ours),
        recipe="half generative pre-training, half fine-tuning",
        largest_train_macs=max(r.train_macs for r in whole),
    )
    others = [_at_side(dense, ours, side) for side in _sides(ours)]
    return (dense, *(f for f in (*others, _upcycled(dense, ours)) if f is not None))


def whole_trainings(records: Iterable[Record]) -> list[Record]:
    """What the dense law is fitted to: dense networks after pre-training and fine-tuning, one step and one draw."""
    return _once(r for r in _nano(records) if r.study in WHOLE and _effort(r) == (1, 1))


def _nano(records: Iterable[Record]) -> list[Record]:
    """Those of the nano family: what the paper's own networks measured is of other sizes, data and batches."""
    ours = (r for r in records if (r.task, r.metric) == (TASK, METRIC))
    return [r for r in ours if r.point.get("size") in NANO]


def _at_side(dense: Family, records: Sequence[Record], side: int) -> Family | None:
    """The family at another resolution; its pre-training stays at 32 pixels."""
    here = [r for r in records if r.study == "resolution"]
    found = gains(pairs(here, {"resolution": SIDE}, {"resolution": side}))
    if found is None:
        return None
    at = sorted({str(r.point["size"]) for r in here})
    return replace(
        dense,
        name=f"{TASK}-{side}-dense",
        resolution=side,
        sizes=tuple(_size(name, side) for name in NANO),
        training=_times(dense.training, found, [r for r in here if r.point["resolution"] == side]),
        recipe=f"half generative pre-training at {SIDE} px, half fine-tuning at {side} px",
        largest_train_macs=max(r.train_macs for r in here if r.point["resolution"] == side),
        assumes=f"that {side} pixels change the error of {SIDE} everywhere as they do for "
        f"{', '.join(at)} on scenes of {max(_sides(here))} pixels: x {1 - found[0] / 100:.3f}",
    )


def _upcycled(dense: Family, records: Sequence[Record]) -> Family | None:
    """Experts on top of the dense trainings of `model-size`, which has all sizes."""
    here = [r for r in records if r.study == "upcycling"]
    before = settle({"experts": 1, "more_iterations": MOST}, here)
    found = gains(pairs(here, before, {"experts": EXPERTS, "active": ACTIVE})) if before else None
    whole = {str(r.point["size"]): r for r in records if r.study == "model-size"}
    if found is None or not whole:
        return None
    sparse = [r for r in here if (r.point["experts"], r.point["active"]) == (EXPERTS, ACTIVE)]
    at = sorted({str(r.point["size"]) for r in sparse})
    sizes = tuple(
        replace(
            _size(name, SIDE, MoEConfig(experts=EXPERTS, active=ACTIVE, expert="gelu")),
            law_params=_size(name, SIDE).active_params,
            start_macs=start.train_macs,
            start_images=float(start.train_images or 0),
        )
        for name, start in whole.items()
    )
    after = next(iter(whole.values())).train_images or 0
    return replace(
        dense,
        name=f"{TASK}-{SIDE}-{EXPERTS}e{ACTIVE}a",
        architecture=f"upcycled to {EXPERTS}E{ACTIVE}A",
        sizes=sizes,
        training=_times(dense.training, found, sparse),
        recipe=f"with experts, after {after // BATCH} of the dense network that the FLOPs include",
        largest_train_macs=max(r.train_macs for r in sparse),
        assumes=f"that experts change the error of the dense network trained as long everywhere as they do for "
        f"{', '.join(at)} after {before['more_iterations']} iterations: x {1 - found[0] / 100:.3f}",
    )


def _times(law: Law, found: tuple[float, np.ndarray], measured: Sequence[Record]) -> Law:
    """A law times what was found of some records, known where these lie."""
    gain, again = found
    # of two seeds some samples gain more than everything, which no error allows
    scaled = law.scale(1 - gain / 100, [max(1 - float(g) / 100, 0.01) for g in again])
    sizes = [float(_size(str(r.point["size"]), SIDE).active_params) for r in measured]
    images = [float(r.train_images or 0) for r in measured]
    least, most = ((end(sizes), end(images)) for end in (min, max))
    return replace(scaled, smallest=least, largest=most)


def _effects(records: Sequence[Record]) -> tuple[Effect, ...]:
    """By what factor steps and draws change the error of one and one; of those that two networks were asked with."""
    asked = _once(r for r in records if r.study in ASKED)
    alone = {_model(r): r.value for r in asked if _effort(r) == (1, 1)}
    logs: dict[tuple[int, int], list[float]] = {}
    for record in asked:
        if _model(record) in alone and _effort(record) != (1, 1):
            ratio = record.value / alone[_model(record)]
            logs.setdefault(_effort(record), []).append(float(np.log(ratio)))
    return tuple(
        Effect(
            steps=steps,
            draws=draws,
            factor=float(np.exp(np.mean(found))),
            spread=float(np.std(found, ddof=1) * (1 + 1 / len(found)) ** 0.5),
            networks=len(found),
        )
        for (steps, draws), found in sorted(logs.items())
        if len(found) > 1
    )


def _size(name: str, side: int, moe: MoEConfig | None = None) -> FamilySize:
    def cost(resolution: int) -> tuple[int, int, int]:
        network = replace(system(name, resolution).model, moe=moe)
        groups = breakdown(network, network.input_size, network.input_size).values()
        every = ((g.params, g.active_params, g.macs) for g in groups)
        params, active, macs = (sum(column) for column in zip(*every, strict=True))
        return params, active, macs

    params, active, macs = cost(side)
    train = None if side == SIDE else (macs + cost(SIDE)[2]) / 2  # pre-trained at 32 pixels
    return FamilySize(
        name=name, params=params, active_params=active, macs=float(macs), train_macs=train
    )


def _sides(records: Sequence[Record]) -> list[int]:
    sides = {int(r.point["resolution"]) for r in records if r.study == "resolution"}
    return sorted(sides - {SIDE})


def _once(records: Iterable[Record]) -> list[Record]:
    """Each run once, under the first of its studies."""
    found: dict[str, Record] = {}
    for record in records:
        found.setdefault(record.run, record)
    return list(found.values())


def _model(record: Record) -> tuple[Any, ...]:
    return record.point.get("size"), record.seed, record.train_macs


def _effort(record: Record) -> tuple[int, int]:
    place: Mapping[str, Any] = record.point
    return int(place.get("steps", 1)), int(place.get("members", 1))


def _pictures(records: Sequence[Record]) -> list[tuple[float, ...]] | None:
    rows = [r.per_image for r in records]
    kept = [row for row in rows if row is not None]
    return kept if len(kept) == len(rows) and len({len(row) for row in kept}) == 1 else None
