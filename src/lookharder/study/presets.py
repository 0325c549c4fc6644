"""How large the studies are: `laptop` fits the ten of the paper into six hours of two cores, `paper` is its own grid.

lookharder study all --preset laptop --dry-run --out DIR          what it would cost, study by study
lookharder study model-size --preset paper --executor slurm --dry-run --out DIR

`micro` is for tests.
"""

from collections.abc import Callable

from lookharder.errors import InputError
from lookharder.study.benches import NanoBench, PaperBench
from lookharder.study.grid import Bench, Preset

SCHEDULES = ("scaled-linear", "linear", "cosine")
FEW_EXPERTS = ((1, 1), (8, 2))
NOISE = tuple(  # what matters most first: a queue that is cut off has seen that
    (size, shift, prediction)
    for size in ("n2", "n4")
    for prediction in ("x0", "v")
    for shift in (1.0, 20.0, 4.0, 100.0)
)
TRADE = ((1, 1), (1, 2), (2, 1), (4, 1), (1, 4), (4, 4), (10, 5), (4, 16))

LAPTOP = Preset(
    sizes=("n1", "n2", "n3", "n4", "n5", "n6", "n7"),
    seeds={"n6": 2, "n7": 2},
    reference="n4",
    small="n3",
    trio=("n2", "n4", "n6"),
    pretrain=1500,
    pretrain_grid=(0, 375, 750, 1500, 3000),
    finetune=1500,
    more=600,
    upcycled={"n3": FEW_EXPERTS, "n4": ((1, 1), (4, 1), (4, 2), (8, 2)), "n5": FEW_EXPERTS},
    resolutions=(24, 32, 48, 64),
    efforts=(
        (1, 1),
        (10, 5),
    ),  # of the paper's 50 steps and 5 draws, what small networks can still gain from
    steps=(1, 2, 5, 10, 20, 50),
    draws=(1, 2, 5, 10, 15, 20),
    draws_steps=(1, 4),
    test_schedules=SCHEDULES,
    schedule_steps=(1, 4, 20),
    predictions=("x0", "eps"),
    trade=TRADE,
    scenes=6000,
    held_out=256,
    levels=10,
    budgets=(  # the first two are what n2 and n3 cost in `model-size`
        (7.24e11, ("n1", "n2", "n3", "n4")),
        (2.056e12, ("n2", "n3", "n4", "n5")),
        (5.9e12, ("n2", "n3", "n4", "n5", "n6")),
    ),
    noise=NOISE,
    noise_efforts=((1, 1), (1, 5), (10, 1), (10, 5)),
    noise_steps=(1, 2, 4, 10, 20),
)

MICRO = Preset(
    sizes=("n1", "n2"),
    seeds={"n1": 1, "n2": 1},
    reference="n1",
    small="n1",
    trio=("n1",),
    pretrain=4,
    pretrain_grid=(0, 2, 4),
    finetune=4,
    more=2,
    upcycled={"n1": ((1, 1), (4, 1), (4, 2), (8, 2)), "n2": FEW_EXPERTS},
    resolutions=(32, 48),
    efforts=((1, 1), (10, 5)),
    steps=(1, 2),
    draws=(1, 2),
    draws_steps=(1, 4),
    test_schedules=SCHEDULES,
    schedule_steps=(1, 4, 20),
    predictions=("x0", "eps"),
    trade=TRADE,
    scenes=8,
    held_out=4,
    levels=2,
    budgets=((1.4e9, ("n1", "n2", "n3")),),
    noise=(("n1", 1.0, "x0"), ("n1", 20.0, "v")),
    noise_efforts=((1, 1), (2, 2)),
    noise_steps=(1, 2),
)

PAPER = Preset(
    sizes=("a1", "a2", "a3", "a4", "a5", "a6"),
    repeats_of_others=1,
    reference="a4",
    small="a1",
    trio=("a2", "a4", "a6"),
    pretrain=400_000,
    pretrain_grid=(60_000, 80_000, 100_000, 120_000),
    finetune=30_000,
    more=15_000,
    upcycled=dict.fromkeys(("a2", "a3", "a4"), ((8, 2),)),
    resolutions=(256, 512),
    effort=(50, 5),
    efforts=((50, 5),),
    steps=(1, 2, 5, 10, 20, 50, 100, 200),
    steps_spacing="leading",
    draws=(1, 2, 5, 10, 15, 20),
    draws_steps=(50,),
    merges=("marigold", "median"),  # the text's two: median compilation, and the naive median
    test_schedules=(None,),
    schedule_steps=(50,),
    predictions=("eps",),
    trade=((1, 1), (5, 1), (20, 1), (20, 5), (50, 20)),
    generalist=(200, 5),
    levels=10,
)

PRESETS: dict[str, tuple[Callable[[str, Preset], Bench], Preset]] = {
    "laptop": (NanoBench, LAPTOP),
    "micro": (NanoBench, MICRO),
    "paper": (PaperBench, PAPER),
}


def bench_for(study: str, preset: str) -> Bench:
    """An empty bench for a study at the size of a preset.

    Raises:
        InputError: there is no such preset.
    """
    if preset not in PRESETS:
        raise InputError("--preset", repr(preset), f"one of {sorted(PRESETS)}")
    bench, size = PRESETS[preset]
    return bench(study, size)
