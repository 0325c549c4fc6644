"""A budget in words becomes FLOPs: "1e18", "3 EFLOPs", "5 GMACs", "20 GPU-hours", "$50".

    GPU-hours x 3600 x peak of the device x share of the peak that is reached       $ / price of an hour = GPU-hours

Peaks and the share that is assumed are those of `hardware`; the share is stated in every answer that rests on it.
FLOPs = 2 x multiply-adds.
"""

import math
import re
from dataclasses import dataclass

from lookharder.errors import InputError
from lookharder.hardware import ACCELERATORS, MFU

DEVICES = {
    name: device.half for name, device in ACCELERATORS.items()
}  # peak FLOP/s of 16-bit products
DEFAULT_SHARE = MFU
PREFIXES = {"": 1.0, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18, "Z": 1e21}
SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
ALLOWED = "FLOPs (1e18, 3 EFLOPs, 5 GMACs), time (20 GPU-hours, 2 GPU-seconds) or money ($50)"
NUMBER = r"([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)"


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What time and money buy.

    Attributes:
        device: a key of `DEVICES`.
        share: of the peak that is reached.
        price: of one hour of one device; None where no budget is money.
    """

    device: str = "h100"
    share: float = DEFAULT_SHARE
    price: float | None = None

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise InputError("--device", repr(self.device), f"one of {sorted(DEVICES)}")
        if not 0 < self.share <= 1:
            raise InputError("--mfu", self.share, "a share of the peak in (0, 1]")
        if self.price is not None and not (self.price > 0 and math.isfinite(self.price)):
            raise InputError("--price", self.price, "a positive price of an hour")

    @property
    def speed(self) -> float:
        """FLOP/s that are assumed to be reached."""
        return DEVICES[self.device] * self.share

    def __str__(self) -> str:
        peak = f"{DEVICES[self.device] / 1e12:g} TFLOP/s"
        money = "" if self.price is None else f", ${self.price:g} an hour"
        return f"one {self.device} at {100 * self.share:g} % of {peak}{money}"


def flops_of(argument: str, text: str, rates: Rates) -> float:
    """The FLOPs that a budget buys.

    Args:
        argument: what the budget was given as, for errors.
        text: the budget.
        rates: what time and money buy.

    Raises:
        InputError: it is not understood, not positive, or money without a price.
    """
    words = text.strip()
    if match := re.fullmatch(rf"{NUMBER}\s*(?:([MGTPEZ]?)(FLOP|MAC)s?)?", words):
        amount = float(match[1]) * PREFIXES[match[2] or ""] * (2 if match[3] == "MAC" else 1)
    elif match := re.fullmatch(rf"{NUMBER}\s*GPU-(second|minute|hour|day)s?", words):
        amount = float(match[1]) * SECONDS[match[2]] * rates.speed
    elif match := re.fullmatch(rf"\$\s*{NUMBER}", words):
        if rates.price is None:
            raise InputError("--price", "nothing", f"the price of an hour, to spend {words}")
        amount = float(match[1]) / rates.price * 3600 * rates.speed
    else:
        raise InputError(argument, repr(text), ALLOWED)
    if not (amount > 0 and math.isfinite(amount)):
        raise InputError(argument, repr(text), "a positive finite budget")
    return amount
