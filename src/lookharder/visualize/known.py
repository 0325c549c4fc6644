"""Depth in metres from a few known distances: one scale and one shift, by least squares in depth.

    [[320, 410, 1.2], [500, 200, 3.4], [90, 160, 2.6]]        K.json: x and y in pixels of the picture, metres

Two distances always fit; from three on, what is left says how far to trust it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from lookharder.errors import InputError
from lookharder.jsons import read_json
from lookharder.metrics import fit_affine


@dataclass(frozen=True, kw_only=True)
class KnownDepths:
    """Distances that are known.

    Attributes:
        points: (x, y, metres) of each; x to the right and y down, from 0.

    Raises:
        InputError: fewer than two points, two of one pixel, or one that there cannot be.
    """

    points: tuple[tuple[int, int, float], ...]

    def __post_init__(self) -> None:
        if len(self.points) < 2:
            raise InputError("--metric", f"{len(self.points)} points", "two or more")
        pixels = [(x, y) for x, y, _ in self.points]
        if twice := [pixel for pixel in pixels if pixels.count(pixel) > 1]:
            raise InputError("--metric", f"{twice[0]} twice", "one distance of a pixel")
        for x, y, metres in self.points:
            if x < 0 or y < 0 or not 0 < metres < float("inf"):
                raise InputError(
                    "--metric", f"{x},{y},{metres:g}", "x and y from 0, metres above 0"
                )

    @classmethod
    def read(cls, path: Path) -> "KnownDepths":
        """The points of a file.

        Raises:
            InputError: it is no list of [x, y, metres].
        """
        rows = read_json(path)
        allowed = f"[x, y, metres] in {path}, whole pixels"
        if not isinstance(rows, list):
            raise InputError("--metric", "no list", f"a list of {allowed}")
        points = []
        for row in rows:
            if not isinstance(row, list) or [type(v) in (int, float) for v in row] != [True] * 3:
                raise InputError("--metric", row, allowed)
            x, y, metres = row
            if x != int(x) or y != int(y):
                raise InputError("--metric", row, allowed)
            points.append((int(x), int(y), float(metres)))
        return cls(points=tuple(points))

    def fit(
        self, depth: Float32[np.ndarray, "H W"]
    ) -> tuple[Float32[np.ndarray, "H W"], dict[str, float]]:
        """Depth in metres; scale, shift, what is left at the points (root mean square, metres), the least distance.

        Raises:
            InputError: a point lies outside of the picture, or the distances do not grow with the depth.
        """
        height, width = depth.shape
        for x, y, _ in self.points:
            if x >= width or y >= height:
                raise InputError("--metric", f"{x},{y}", f"inside of {width} x {height}")
        columns, rows, metres = (np.array(each) for each in zip(*self.points, strict=True))
        known = depth[rows, columns].astype(np.float64)
        scale, shift = fit_affine(known, metres)
        if scale <= 0:
            got = f"distances that do not grow with the predicted depth ({known.tolist()})"
            raise InputError("--metric", got, "a farther one where the depth is larger")
        left = float(np.sqrt(np.mean((scale * known + shift - metres) ** 2)))
        fitted = (scale * depth + shift).astype(np.float32)
        figures = {"metric_scale": scale, "metric_shift": shift, "metric_residual": left}
        return fitted, {**figures, "metric_least": float(fitted.min())}
