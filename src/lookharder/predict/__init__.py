"""Images in, predictions out: what is asked (`options`), how it is computed (`sampling`), what is given (`result`).

`predictor.Predictor` is the door for Python, `files` for images on disk.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = ["Options", "Prediction", "Predictor"]

if TYPE_CHECKING:
    from lookharder.predict.options import Options
    from lookharder.predict.predictor import Predictor
    from lookharder.predict.result import Prediction
else:  # loaded when asked for: `predict.effort` alone needs no network
    _MODULES = {"Options": "options", "Prediction": "result", "Predictor": "predictor"}

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'lookharder.predict' has no attribute {name!r}")
        return getattr(import_module(f"lookharder.predict.{_MODULES[name]}"), name)
