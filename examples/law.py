"""A scaling law from measurements: fit it with an interval, and see whether it predicts the largest point.

python examples/law.py
"""

import numpy as np

from lookharder.scaling.law import Law, fit_power_law


def main(resamples: int = 200) -> Law:
    """Fit E + A C^-a to nine noisy errors of a known law; returns the fit."""
    compute = np.geomspace(1e12, 1e16, 9)  # FLOPs of nine trainings
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(9))
    error = (0.05 + 120 * compute**-0.22) * noise

    law = fit_power_law(compute, error, resamples=resamples)
    low, high = law.interval("exponent", level=0.95)
    print(f"exponent {law.exponent:.3f} [{low:.3f}, {high:.3f}], the truth is 0.22")
    print(f"floor    {law.offset:.4f}, the truth is 0.05")

    without = fit_power_law(compute[:-1], error[:-1], resamples=resamples)
    print(
        f"the largest point: predicted {without.predict(compute[-1]):.4f}, measured {error[-1]:.4f}"
    )
    print(f"ten times as much: predicted {law.predict(1e17):.4f}")
    return law


if __name__ == "__main__":
    main()
