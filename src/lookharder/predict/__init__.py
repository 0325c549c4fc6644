"""Pictures in, predictions out: what is asked (`options`), how it is computed (`sampling`), what is given (`result`).

`predictor.Predictor` is the door for Python, `files` for pictures on disk.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lookharder.predict.predictor import Predictor as Predictor
    from lookharder.predict.result import Prediction as Prediction

_MODULES = {
    "Predictor": "lookharder.predict.predictor",
    "Prediction": "lookharder.predict.result",
}


def __getattr__(name: str) -> Any:  # loaded when asked for: `predict.effort` alone needs no network
    if name not in _MODULES:
        raise AttributeError(f"module 'lookharder.predict' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
