"""Sets of pictures against sets of pictures, by what a feature network says of them, (N, D) each.

    FID         |m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^1/2)     means and covariances; Heusel et al., 1706.08500
    precision   share of drawn features inside the real ones     inside: nearer to one of them than its k-th neighbour
    recall      share of real features inside the drawn ones     Kynkaanniemi et al., 1904.06991, k = 3

FID falls with the number of pictures: scores of unlike numbers are not compared.
"""

import numpy as np

from lookharder.errors import InputError

NEIGHBOUR = 3  # k
ROWS = 1024  # features whose distances are taken at a time


def frechet_distance(real: np.ndarray, drawn: np.ndarray) -> float:
    """FID of two sets of features (N, D) and (M, D), in their unit squared.

    Raises:
        InputError: fewer than two features, or one that is not finite.
    """
    (mean_a, cov_a), (mean_b, cov_b) = (
        (x.mean(0), np.atleast_2d(np.cov(x, rowvar=False))) for x in _checked(real, drawn)
    )
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    # C1 C2 has the eigenvalues of the symmetric root(C1) C2 root(C1)
    shared = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(0)).sum()
    gap = ((mean_a - mean_b) ** 2).sum()
    return float(gap + np.trace(cov_a) + np.trace(cov_b) - 2 * shared)


def precision_recall(
    real: np.ndarray, drawn: np.ndarray, neighbour: int = NEIGHBOUR
) -> tuple[float, float]:
    """Precision and recall of drawn features (M, D) beside real ones (N, D), in [0, 1].

    Raises:
        InputError: no more features than neighbours, or one that is not finite.
    """
    a, b = _checked(real, drawn)
    if min(len(a), len(b)) <= neighbour:
        raise InputError("features", f"{len(a)} and {len(b)}", f"more than {neighbour} of each")
    return _inside(b, a, _radii(a, neighbour)), _inside(a, b, _radii(b, neighbour))


def _radii(x: np.ndarray, neighbour: int) -> np.ndarray:
    """Squared distance of each feature to its k-th neighbour; the nearest is itself."""
    parts = [
        np.partition(_distances(x[i : i + ROWS], x), neighbour, axis=1)[:, neighbour]
        for i in range(0, len(x), ROWS)
    ]
    return np.concatenate(parts)


def _inside(x: np.ndarray, of: np.ndarray, radii: np.ndarray) -> float:
    """Share of features within the radius of any of others."""
    hits = [(_distances(x[i : i + ROWS], of) <= radii).any(1) for i in range(0, len(x), ROWS)]
    return float(np.concatenate(hits).mean())


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distances (N, M)."""
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    return np.asarray(squares.clip(0))


def _checked(real: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pair = np.asarray(real, np.float64), np.asarray(drawn, np.float64)
    for name, x in zip(("real", "drawn"), pair, strict=True):
        if x.ndim != 2 or len(x) < 2 or x.shape[1] != pair[0].shape[1] or not np.isfinite(x).all():
            raise InputError(name, f"features {x.shape}", "(N, D) finite, N >= 2, D of both")
    return pair
