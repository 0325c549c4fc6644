"""Recipes: Python functions, each returning one frozen `RunConfig`, derived from one another in a few lines.

    lookharder train smoke --out runs/smoke          lookharder train tiny --set train.seed=1 --out runs/tiny-1

A recipe's docstring says what it costs and what it should reach.
"""

from collections.abc import Callable

from lookharder.recipes.embedded import finetune, pixel_chain, smoke, tiny
from lookharder.training.run import RunConfig

__all__ = ["RECIPES", "finetune", "pixel_chain", "smoke", "tiny"]

RECIPES: dict[str, Callable[[], RunConfig]] = {"smoke": smoke, "tiny": tiny, "finetune": finetune}
