"""A series is measurements that differ in one thing and in seeds; its laws are fitted with an offset and without.

    records of a study ─► series ─► law (E + A x^-a) and bare (A x^-a)

A study has one axis. Records that agree in all else are one series; each series of enough places gets its laws. A
network that was asked with several steps or draws is a group of points that its seed sets apart together. A network
that was not pre-trained is no point of the law of pre-training.

Studies that compare kinds of things (schedules, one network against three) have no axis and no series.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lookharder.scaling.law import Law, TooFew, fit_power_law
from lookharder.scaling.published import PAPER, Published
from lookharder.scaling.record import Record

# study -> what its laws fall with, and the names of its axes that vary along with it
AXES: dict[str, tuple[str, tuple[str, ...]]] = {
    "model-size": ("train_macs", ("size",)),
    "pretraining": ("train_macs", ("pretrain_iterations",)),
    "resolution": ("train_macs", ("resolution",)),
    "upcycling": ("train_macs", ("size",)),
    "steps": ("steps", ("steps",)),
    "draws": ("members", ("members",)),
    "spacing": ("steps", ("steps",)),
    "closer": ("inference_macs", ("levels", "steps", "members")),
}
COMPUTE = ("train_macs", "inference_macs")  # what a record says of itself, and not of its place
PRINTED = {
    "model-size": "finetune",
    "steps": "steps",
    "draws": "draws",
}  # study -> the paper's laws


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Measurements along one axis, and their laws.

    Attributes:
        study: that they belong to.
        task: what was asked.
        metric: what was measured.
        where: what they have in common, e.g. {"members": 1, "steps": 1}.
        variable: what varies: "train_macs", "inference_macs", "steps" or "members".
        records: the measurements.
        law: with an offset; None where there are too few places for one.
        bare: without.
    """

    study: str
    task: str
    metric: str
    where: dict[str, Any]
    variable: str
    records: tuple[Record, ...]
    law: Law | None
    bare: Law | None

    @property
    def x(self) -> list[float]:
        """Where each measurement lies."""
        return [_at(record, self.variable) for record in self.records]

    @property
    def printed(self) -> Published | None:
        """The paper's law of the same thing; its networks, data and unit of compute are others.

        None of a loss: the paper's is that of the noise on scenes of the training, ours that of the image on others.
        """
        if self.metric == "loss":
            return None
        return PAPER.get(f"{PRINTED.get(self.study)}-{self.metric}")


def series_of(study: str, records: Sequence[Record]) -> list[Series]:
    """The series of a study, fitted; none where it has no axis.

    Args:
        study: its name.
        records: of any studies.
    """
    if study not in AXES:
        return []
    variable, along = AXES[study]
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        if record.study == study and record.point.get("pretrain_iterations") != 0:
            fixed = sorted((k, v) for k, v in record.point.items() if k not in along)
            groups.setdefault((record.task, record.metric, *fixed), []).append(record)
    return [
        Series(
            study=study,
            task=task,
            metric=metric,
            where=dict(fixed),
            variable=variable,
            records=tuple(members),
            law=_fit(variable, members, True),
            bare=_fit(variable, members, False),
        )
        for (task, metric, *fixed), members in groups.items()
    ]


def _at(record: Record, variable: str) -> float:
    return float(getattr(record, variable) if variable in COMPUTE else record.point[variable])


def _fit(variable: str, records: Sequence[Record], offset: bool) -> Law | None:
    images = [record.per_image for record in records]
    shared = [i for i in images if i is not None]
    whole = len(shared) == len(images) and len({len(i) for i in shared}) == 1
    if any(record.value <= 0 for record in records):  # which has no logarithm
        return None
    try:
        return fit_power_law(
            [_at(record, variable) for record in records],
            [record.value for record in records],
            offset,
            variable=variable,
            per_image=shared if whole else None,
            groups=None if variable == "train_macs" else [r.seed for r in records],
        )
    except TooFew:  # for so many unknowns
        return None
