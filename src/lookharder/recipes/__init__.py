"""Recipes: Python functions, each returning one frozen `RunConfig`, derived from one another in a few lines.

    lookharder train smoke --out runs/smoke          lookharder train tiny --set train.seed=1 --out runs/tiny-1
    lookharder train paper_table1_a4 --dry-run       what it is, what it costs, what it needs; nothing is run

A recipe's docstring says what it costs and what it should reach. Names of the paper's (arXiv 2411.08034) are those of
its tables and figures: `embedded` is ours, `pretraining` and `finetuning` are the paper's, `variants` what is better.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from lookharder.recipes.embedded import finetune, pixel_chain, smoke, tiny
from lookharder.recipes.finetuning import FINALS, paper_all, paper_depth, paper_final
from lookharder.recipes.pretraining import paper_pretrain
from lookharder.recipes.sight import sight, sight_chain
from lookharder.recipes.variants import differences, improved, shrink
from lookharder.training.run import RunConfig

__all__ = [
    "RECIPES",
    "differences",
    "finetune",
    "improved",
    "paper_all",
    "paper_depth",
    "paper_final",
    "paper_pretrain",
    "pixel_chain",
    "shrink",
    "sight",
    "sight_chain",
    "smoke",
    "tiny",
]

Recipe = Callable[[], RunConfig]


def _run(name: str) -> str:
    """Where `lookharder train NAME --out runs/NAME` leaves its model."""
    return f"runs/{name}/model"


def _paper() -> dict[str, Recipe]:
    """All stages of the paper; each names the one that it starts from."""
    found: dict[str, Recipe] = {}

    def add(function: Callable[..., RunConfig], name: str, *values: Any, **options: Any) -> None:
        found[name] = partial(function, name, *values, **options)

    for i in range(1, 7):
        add(paper_pretrain, f"paper_table1_a{i}", f"a{i}")
    for size in ("S-8E2A", "S-16E2A", "L-8E2A"):
        add(paper_pretrain, f"paper_table2_{_word(size)}", size)
    add(paper_pretrain, "paper_fig5_pretrain_l_8e2a_512", "L-8E2A", resolution=512)
    for k in (60, 80, 100, 120):
        add(paper_pretrain, f"paper_fig4_pretrain_{k}k", "a4", iterations=1000 * k)

    for i in range(1, 7):
        add(paper_depth, f"paper_fig3_a{i}", f"a{i}", _run(f"paper_table1_a{i}"))
    for k in (60, 80, 100, 120):
        add(paper_depth, f"paper_fig4_{k}k", "a4", _run(f"paper_fig4_pretrain_{k}k"))
    for side in (256, 512):
        add(paper_depth, f"paper_fig5_xl_{side}", "XL", f"models/dit-xl-2-{side}", resolution=side)
        start = _run("paper_table2_l_8e2a" if side == 256 else "paper_fig5_pretrain_l_8e2a_512")
        add(paper_depth, f"paper_fig5_l_8e2a_{side}", "L-8E2A", start, resolution=side)
    for i in (2, 3, 4):
        size, start = f"a{i}-8E2A-upcycled", _run(f"paper_fig3_a{i}")
        add(paper_depth, f"paper_fig6_a{i}_8e2a", size, start, iterations=15_000)
    for schedule in ("linear", "scaled-linear", "cosine"):
        name = f"paper_fig10_{_word(schedule)}"
        add(paper_depth, name, "a4", _run("paper_table1_a4"), schedule=schedule)

    large, small = "models/dit-xl-2-512", "models/dit-xl-2-256"
    add(paper_final, "paper_table3_depth", large, FINALS["depth"], 30_000, 1024, 512)
    add(paper_final, "paper_table4_flow", large, FINALS["flow"], 40_000, 1024, 512)
    add(paper_final, "paper_table5_amodal", small, FINALS["amodal"], 6_000, 4096, 256)
    add(paper_all, "paper_generalist", "XL", large, 30_000)
    start = _run("paper_generalist")
    add(paper_all, "paper_generalist_8e2a", "XL-8E2A-upcycled", start, 4_000)
    return found


def _word(text: str) -> str:
    return text.lower().replace("-", "_")


RECIPES: dict[str, Recipe] = {
    "smoke": smoke,
    "tiny": tiny,
    "sight": sight,
    "finetune": finetune,
    **_paper(),
}
