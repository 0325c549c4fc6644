"""Laws: how error falls with compute, size, data, steps and draws, fitted so that they can be believed.

design ─► bounded ─► solver ─┐
formula, held_out ─► form ─► fitting ─► allocation       `form` says what a law is, `fitting` where it comes from
                   points ─┘
"""

from lookharder.scaling.law.allocation import (
    Profile,
    Split,
    fit_growth,
    growth,
    optimum,
    profiles,
)
from lookharder.scaling.law.fitting import fit_law, fit_power_law
from lookharder.scaling.law.form import Law
from lookharder.scaling.law.held_out import HeldOut
from lookharder.scaling.law.points import TooFew

__all__ = [
    "HeldOut",
    "Law",
    "Profile",
    "Split",
    "TooFew",
    "fit_growth",
    "fit_law",
    "fit_power_law",
    "growth",
    "optimum",
    "profiles",
]
