"""The studies at the paper's own size: its recipes by name, on its own data, for a cluster.

    lookharder study model-size --preset paper --executor slurm --dry-run --out DIR

Data are expected under `data/` (see `docs/training.md`), and DiT's published weights where the recipes expect them.
Two studies that the paper has no recipe for, `spacing` and `trade`, measure the models of Figure 3.
"""

from collections.abc import Callable
from typing import Any

from lookharder.study.grid import Bench, Place, Preset, Study
from lookharder.study.queue.jobs import Job

SIZES = ("a1", "a2", "a3", "a4", "a5", "a6")
FULL: dict[str, Any] = {"steps": 50, "members": 5}  # of its figures, where nothing else is varied
VALIDATION = {  # task -> (data, pictures, side)
    "generation": ("imagenet:data/imagenet/val", 50_000, 256),
    "depth": ("hypersim:data/hypersim/val", 7_370, 256),
    "flow": ("flying_chairs:data/flying_chairs", 640, 512),
    "amodal": ("coco_amodal:data/coco_amodal", 13_000, 256),
}
NOTHING = Preset(
    sizes=SIZES,
    reference="a4",
    small="a1",
    trio=("a2", "a4", "a6"),
    pretrain=400_000,
    pretrain_grid=(60_000, 80_000, 100_000, 120_000),
    finetune=30_000,
    more=15_000,
    resolutions=(256, 512),
    steps=(1, 2, 5, 10, 20, 50, 100, 200),
    draws=(1, 2, 5, 10, 15, 20),
    scenes=0,
    held_out=0,
    levels=10,
)


class PaperBench(Bench):
    """A bench on which trainings are recipes by their names."""

    def named(self, name: str, start: Job | None = None) -> Job:
        """The training of a recipe, from the model of another."""
        config = {"recipe": name, "set": []}
        return self._add("train", config, () if start is None else (start,), name)

    def figure3(self, size: str) -> Job:
        """The depth model of a size."""
        return self.named(f"paper_fig3_{size}", self.named(f"paper_table1_{size}"))

    def measure(
        self, model: Job, claim: str, place: Place, task: str = "depth", **how: Any
    ) -> None:
        """A point: errors on the validation set of a task; without steps, the diffusion loss."""
        data, count, side = VALIDATION[task]
        others = {"data": data, "scenes": count, "size": side}
        if how:
            self.score(model, claim, place, 0, task=task, **{**others, **how})
        else:
            self.loss(model, claim, place, 0, task, **others)


def model_size(bench: PaperBench) -> None:
    """Figures 2 and 3."""
    for size in SIZES:
        before = bench.named(f"paper_table1_{size}")
        bench.measure(before, "figure 2", {"size": size}, "generation")
        bench.measure(bench.figure3(size), "figure 3", {"size": size})
        bench.measure(bench.figure3(size), "figure 3", {"size": size}, **FULL)


def pretraining(bench: PaperBench) -> None:
    """Figure 4."""
    for k in (60, 80, 100, 120):
        model = bench.named(f"paper_fig4_{k}k", bench.named(f"paper_fig4_pretrain_{k}k"))
        bench.measure(model, "figure 4", {"pretrain_iterations": 1000 * k}, **FULL)


def resolution(bench: PaperBench) -> None:
    """Figure 5."""
    starts = {256: "paper_table2_l_8e2a", 512: "paper_fig5_pretrain_l_8e2a_512"}
    for side, start in starts.items():
        dense = bench.named(f"paper_fig5_xl_{side}")
        sparse = bench.named(f"paper_fig5_l_8e2a_{side}", bench.named(start))
        for name, model in (("XL", dense), ("L-8E2A", sparse)):
            place: Place = {"size": name, "resolution": side}
            bench.measure(model, "figure 5", place, **FULL, size=side)


def upcycling(bench: PaperBench) -> None:
    """Figure 6."""
    for size in SIZES[1:4]:
        dense = bench.figure3(size)
        place: Place = {"size": size, "experts": 1, "more_iterations": 0}
        bench.measure(dense, "figure 6", place, **FULL)
        sparse = bench.named(f"paper_fig6_{size}_8e2a", dense)
        place = {"size": size, "experts": 8, "more_iterations": NOTHING.more}
        bench.measure(sparse, "figure 6", place, **FULL)


def steps(bench: PaperBench) -> None:
    """Figure 8, whose models merge five draws."""
    for size in NOTHING.trio:
        for count in NOTHING.steps:
            how: dict[str, Any] = {"steps": count, "members": 5, "spacing": "leading"}
            bench.measure(bench.figure3(size), "figure 8", {"size": size}, **how)


def draws(bench: PaperBench) -> None:
    """Figure 9, whose draws take 50 steps."""
    for size in NOTHING.trio:
        for count in NOTHING.draws:
            how: dict[str, Any] = {"steps": 50, "members": count}
            bench.measure(bench.figure3(size), "figure 9", {"size": size}, **how)


def schedule(bench: PaperBench) -> None:
    """Figure 10."""
    for name in ("linear", "scaled-linear", "cosine"):
        start = bench.named("paper_table1_a4")
        model = bench.named(f"paper_fig10_{name.replace('-', '_')}", start)
        bench.measure(model, "figure 10", {"train_schedule": name}, **FULL)


def spacing(bench: PaperBench) -> None:
    """Figure 8 once more, with the first step where the noise is."""
    for where in ("leading", "trailing"):
        for count in NOTHING.steps:
            how: dict[str, Any] = {"steps": count, "members": 1, "spacing": where}
            place: Place = {"prediction": "eps", "spacing": where}
            bench.measure(bench.figure3("a4"), "spacing", place, **how)


def trade(bench: PaperBench) -> None:
    """Sizes against efforts."""
    for size in SIZES:
        for count, members in ((1, 1), (5, 1), (20, 1), (20, 5), (50, 20)):
            how: dict[str, Any] = {"steps": count, "members": members}
            bench.measure(bench.figure3(size), "trade", {"size": size}, **how)


def generalist(bench: PaperBench) -> None:
    """Section 6.4."""
    tables = {"depth": "table3", "flow": "table4", "amodal": "table5"}
    one = bench.named("paper_generalist")
    sparse = bench.named("paper_generalist_8e2a", one)
    for task, table in tables.items():
        alone = bench.named(f"paper_{table}_{task}")
        models = {"specialist": alone, "generalist": one, "generalist, 8E2A": sparse}
        for name, model in models.items():
            bench.measure(model, "section 6.4", {"model": name}, task, steps=200, members=5)


STUDIES: dict[str, Callable[[PaperBench], None]] = {
    "model-size": model_size,
    "steps": steps,
    "draws": draws,
    "spacing": spacing,
    "schedule": schedule,
    "trade": trade,
    "pretraining": pretraining,
    "upcycling": upcycling,
    "resolution": resolution,
    "generalist": generalist,
}


def build_paper(name: str, question: str) -> Study:
    """A study at the paper's size."""
    bench = PaperBench(name, NOTHING)
    STUDIES[name](bench)
    return bench.study(question)
