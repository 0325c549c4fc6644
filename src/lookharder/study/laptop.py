"""Presets: how large the studies are. `laptop` fits the ten of the paper into six hours of two cores, `micro` tests.

lookharder study all --preset laptop --dry-run --out DIR        what it would cost, study by study
"""

from lookharder.errors import InputError
from lookharder.study.grid import Preset

LAPTOP = Preset(
    sizes=("n1", "n2", "n3", "n4", "n5", "n6", "n7"),
    seeds={"n6": 2, "n7": 2},
    reference="n4",
    small="n3",
    trio=("n2", "n4", "n6"),
    pretrain=1500,
    pretrain_grid=(375, 750, 1500, 3000),
    finetune=1500,
    more=600,
    resolutions=(24, 32, 48, 64),
    steps=(1, 2, 5, 10, 20, 50),
    draws=(1, 2, 5, 10, 15, 20),
    scenes=6000,
    held_out=256,
    levels=10,
    budgets=(  # the first two are what n2 and n3 cost in `model-size`
        (7.24e11, ("n1", "n2", "n3", "n4")),
        (2.056e12, ("n2", "n3", "n4", "n5")),
        (5.9e12, ("n2", "n3", "n4", "n5", "n6")),
    ),
)

MICRO = Preset(
    sizes=("n1", "n2"),
    seeds={"n1": 1, "n2": 1},
    reference="n1",
    small="n1",
    trio=("n1",),
    pretrain=4,
    pretrain_grid=(2, 4),
    finetune=4,
    more=2,
    resolutions=(32, 48),
    steps=(1, 2),
    draws=(1, 2),
    scenes=8,
    held_out=4,
    levels=2,
    budgets=((1.4e9, ("n1", "n2", "n3")),),
)

PRESETS = {"laptop": LAPTOP, "micro": MICRO}


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        InputError: there is none.
    """
    if name not in PRESETS:
        raise InputError("--preset", repr(name), f"one of {sorted([*PRESETS, 'paper'])}")
    return PRESETS[name]
