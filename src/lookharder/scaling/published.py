"""Laws as others printed them, to be drawn beside ours: what was fitted, to what, in which unit.

The figures of arXiv 2411.08034 call their axes "MACs" and plot twice the forward multiply-adds of the linear layers,
one forward an image, no attention products, in training too: `Record.train_macs_paper`, `.inference_macs_paper`. Its
laws have no offset. Read with that in mind: the steps of its figure 8 saturate by 5 to 10, and the line drawn is an
envelope over three sizes, which at 6.3e14 expects an error of 0.122 where 0.199 was measured.
"""

import math
from dataclasses import dataclass

from lookharder.scaling.law.form import Law, NumberOrArray

PAPER_UNIT = "2 x forward multiply-adds of linear layers"
FLOPS = "FLOPs, 6 a parameter a token"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A law as it is printed: E + Σ A x^-a.

    Attributes:
        source: where it is printed.
        claim: which figure or equation.
        metric: what falls.
        variables: with what.
        unit: in which the variables are counted.
        offset: E; 0 where the law has none.
        coefficients: A.
        exponents: a, positive where the metric falls.
    """

    source: str
    claim: str
    metric: str
    variables: tuple[str, ...]
    unit: str
    offset: float
    coefficients: tuple[float, ...]
    exponents: tuple[float, ...]

    @property
    def law(self) -> Law:
        """The law itself; nothing is known of what it was fitted to, so it has no interval and no range."""
        return Law(
            variables=self.variables,
            offset=self.offset,
            log_coefficients=tuple(map(math.log, self.coefficients)),
            exponents=self.exponents,
            has_offset=self.offset > 0,
            points=0,
            smallest=(0.0,) * len(self.variables),
            largest=(math.inf,) * len(self.variables),
            r2=math.nan,
            scatter=math.nan,
        )

    def predict(self, *x: NumberOrArray) -> NumberOrArray:
        """The printed law at x."""
        return self.law.predict(*x)


def _paper(claim: str, metric: str, coefficient: float, exponent: float) -> Published:
    return Published(
        source="arXiv 2411.08034",
        claim=claim,
        metric=metric,
        variables=("compute",),
        unit=PAPER_UNIT,
        offset=0.0,
        coefficients=(coefficient,),
        exponents=(exponent,),
    )


def _language(
    source: str, claim: str, offset: float, a: float, b: float, *exponents: float
) -> Published:
    return Published(
        source=source,
        claim=claim,
        metric="loss, nats a token",
        variables=("params", "tokens"),
        unit="parameters; training tokens",
        offset=offset,
        coefficients=(a, b),
        exponents=exponents,
    )


def _dit(metric: str, coefficient: float, exponent: float) -> Published:
    return Published(
        source="arXiv 2410.08184",
        claim="isoFLOP optimum, in-context DiT",
        metric=metric,
        variables=("compute",),
        unit=FLOPS,
        offset=0.0,
        coefficients=(coefficient,),
        exponents=(exponent,),
    )


PAPER = {
    "pretrain-loss": _paper("figure 2", "loss", 0.23, 0.0098),
    "finetune-loss": _paper("figure 3", "loss", 37.14, 0.1382),
    "finetune-abs_rel": _paper("figure 3", "abs_rel", 85.81, 0.1511),
    "finetune-delta1_error": _paper("figure 3", "1 - delta1", 118.53, 0.1572),
    "steps-abs_rel": _paper("figure 8", "abs_rel", 28.93, 0.1604),
    "steps-delta1_error": _paper("figure 8", "1 - delta1", 34.24, 0.1651),
    "draws-abs_rel": _paper("figure 9", "abs_rel", 14.38, 0.1308),
    "draws-delta1_error": _paper("figure 9", "1 - delta1", 17.08, 0.1345),
}

CHINCHILLA = _language("arXiv 2203.15556", "equation 10", 1.69, 406.4, 410.7, 0.34, 0.28)
CHINCHILLA_AGAIN = _language(
    "arXiv 2404.10102", "replication", 1.8172, 482.01, 2085.43, 0.3478, 0.3658
)

DIT = {
    "loss": _dit("loss", 2.3943, 0.0273),
    "fid": _dit("FID", 2.2566e6, 0.234),
    "params": _dit("best parameters", 0.0009, -0.5681),  # they grow
    "tokens": _dit("best training tokens", 186.85, -0.4319),
}
