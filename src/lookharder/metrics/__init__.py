"""Numbers: a prediction and its target in, a plain dict of floats out.

A metric judges anyone's output: it takes the maps of one image as numpy arrays or torch tensors
(any device and precision), computes in float64, and reads valid pixels only, so that what lies
elsewhere, NaN included, cannot change the result. No valid pixel, or a value that is not finite at
a valid one, is an `InputError`, never a NaN.
"""

import numpy as np
from torch import Tensor

from lookharder.errors import InputError

ArrayLike = np.ndarray | Tensor


def to_numpy(value: ArrayLike) -> np.ndarray:
    """The array of a tensor, wherever it lives; a float array becomes float64."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    return value.astype(np.float64) if value.dtype.kind == "f" else value


def to_mask(argument: str, value: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    """A boolean array of a shape, from booleans, integers (non-zero is true) or floats 0, 1."""
    array = to_numpy(value)
    if array.shape != shape:
        raise InputError(argument, f"shape {array.shape}", f"shape {shape}")
    if array.dtype.kind == "f" and not np.isin(array, (0.0, 1.0)).all():
        raise InputError(argument, "floats other than 0 and 1", "a boolean mask")
    return array.astype(bool)


def valid_pixels(
    pred: ArrayLike, target: ArrayLike, valid: ArrayLike | None, argument: str
) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and target at the valid pixels.

    Args:
        pred: (*C, H, W).
        target: (*C, H, W).
        valid: (H, W), None for all pixels.
        argument: what the caller calls `valid`, for its errors.

    Returns:
        Two float64 arrays (*C, P), P >= 1, of finite values.

    Raises:
        InputError: shapes differ, no pixel is valid, or a valid one is not finite.
    """
    pair = to_numpy(pred).astype(np.float64), to_numpy(target).astype(np.float64)
    if pair[0].shape != pair[1].shape:
        raise InputError("pred", f"shape {pair[0].shape}", f"the shape of target, {pair[1].shape}")
    size = pair[1].shape[-2:]
    mask = np.ones(size, bool) if valid is None else to_mask(argument, valid, size)
    if not mask.any():
        raise InputError(argument, "no valid pixel", "at least one")
    chosen = pair[0][..., mask], pair[1][..., mask]
    for name, values in zip(("pred", "target"), chosen, strict=True):
        if bad := int((~np.isfinite(values)).sum()):
            raise InputError(
                name, f"{bad} values at valid pixels that are not finite", "finite values"
            )
    return chosen


def fit_affine(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """(scale, shift) that minimise sum (scale x + shift - y)^2; a constant x has scale 0."""
    centred = x - x.mean()
    scale = 0.0 if np.ptp(x) == 0 else float(centred @ y / (centred @ centred))
    return scale, float(y.mean() - scale * x.mean())
