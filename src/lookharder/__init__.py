"""lookharder: depth, optical flow and hidden objects by iterative denoising.

    from lookharder import Predictor

Names load when they are first asked for, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"
__all__ = ["InputError", "Predictor", "__version__"]

if TYPE_CHECKING:  # what type checkers and editors read
    from lookharder.errors import InputError
    from lookharder.predict.predictor import Predictor
else:  # what runs
    _HOMES = {"Predictor": "lookharder.predict.predictor", "InputError": "lookharder.errors"}

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'lookharder' has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)
