"""The formula of a law, for many rows of parameters at once: what a row holds, its values, its terms.

row = (offset E, log coefficients log A_1 .. log A_K, exponents a_1 .. a_K)       E + Σ_k A_k x_k^-a_k
row = (0, log A_1 .. log A_K, a_1 .. a_K, power g, ceiling M)                     M / (1 + (Σ_k A_k x_k^-a_k)^-g)
"""

import numpy as np
from jaxtyping import Float

LARGEST = 700.0  # logarithm of a number that a float holds; a steep law's coefficient may be larger

ParameterRow = tuple[float, ...]


def exp(log: float) -> float:
    """The exponential, or the largest number that a float holds."""
    return float(np.exp(min(log, LARGEST)))


def evaluate(
    rows: Float[np.ndarray, "b Q"], logs: Float[np.ndarray, "K *s"]
) -> Float[np.ndarray, "b *s"]:
    """Values of each row of parameters at places given by the logarithms of their K variables."""
    k = len(logs)
    column = [each.reshape(-1, *[1] * (logs.ndim - 1)) for each in rows.T]
    terms = [column[1 + i] - column[1 + k + i] * logs[i] for i in range(k)]
    values: np.ndarray
    if rows.shape[1] == 1 + 2 * k:  # no ceiling
        values = column[0] + sum(np.exp(np.minimum(term, LARGEST)) for term in terms)
        return values
    log_odds = column[-2] * np.logaddexp.reduce(terms)
    values = column[-1] * np.exp(-np.logaddexp(0, -log_odds))
    return values


def times(row: ParameterRow, factor: float, k: int) -> ParameterRow:
    """The row of a law of K variables whose values are `factor` times this one's."""
    if len(row) > 1 + 2 * k:
        return (*row[:-1], row[-1] * factor)
    logs = (log + float(np.log(factor)) for log in row[1 : k + 1])
    return (row[0] * factor, *logs, *row[k + 1 :])
