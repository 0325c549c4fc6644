"""The claims of the paper as a table: what is compared with what, in which study, by which rule.

A row is one claim of arXiv 2411.08034, or one of ours that tests the explanation of one of its. What the rules say of
it is in `findings`.
"""

from dataclasses import dataclass
from typing import Literal

from lookharder.report.compare import LEAST, MOST, Selection


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim.

    Attributes:
        says: what is claimed.
        source: where in the paper.
        printed: what the paper measured; empty where it prints no number.
        study: that answers it.
        also: others whose measurements count too.
        task: of the records.
        metric: of the records.
        rule: "law", "better", "as good", "trade", or "grows": the gain does, with the network.
        before: of a difference; of a law what its measurements have in common, where the study has several.
        after: of a difference; of a trade the effort of the smaller network, empty for what the larger one costs.
    """

    says: str
    source: str
    printed: str = ""
    study: str
    also: tuple[str, ...] = ()
    task: str = "depth"
    metric: str = "abs_rel"
    rule: Literal["law", "better", "as good", "trade", "grows"] = "better"
    before: Selection
    after: Selection


def _law(
    says: str,
    source: str,
    metric: str,
    printed: str = "",
    task: str = "depth",
    study: str = "model-size",
    where: Selection | None = None,
) -> Claim:
    return Claim(
        says=says,
        source=source,
        printed=printed,
        study=study,
        task=task,
        metric=metric,
        rule="law",
        before=where or {},
        after={},
    )


def _pair(
    says: str,
    source: str,
    study: str,
    before: Selection,
    after: Selection,
    printed: str = "",
    metric: str = "abs_rel",
    rule: Literal["better", "as good", "trade", "grows"] = "better",
    task: str = "depth",
    also: tuple[str, ...] = (),
) -> Claim:
    return Claim(
        says=says,
        source=source,
        printed=printed,
        study=study,
        also=also,
        task=task,
        metric=metric,
        rule=rule,
        before=before,
        after=after,
    )


COPIED: Selection = {"experts": 1, "active": 1, "more_iterations": 0}
DENSE: Selection = {"experts": 1, "active": 1, "more_iterations": MOST}
SPARSE: Selection = {"experts": 8, "active": 2, "more_iterations": MOST}
ALONE, ONE = {"model": "specialist"}, {"model": "generalist"}
PRETRAIN = "pretrain_iterations"
TRAIN, TEST = "train_schedule", "test_schedule"
ROOT = "scaled-linear"
COSINE: Selection = {TRAIN: "cosine", TEST: "cosine"}
LEVELS: Selection = {"along": "levels"}

# fmt: off
CLAIMS: tuple[Claim, ...] = (
    _law("Pre-training loss is a power law of compute", "figure 2", "loss", "0.23 C^-0.0098 (eps)", "generation"),
    _law("Fine-tuning loss is a power law of compute", "figure 3", "loss", "37.14 C^-0.1382 (eps)"),
    _law("AbsRel is a power law of compute", "figure 3", "abs_rel", "85.81 C^-0.1511"),
    _law("1 - δ1 is a power law of compute", "figure 3", "delta1_error", "118.53 C^-0.1572"),
    _pair("More pre-training helps fine-tuning", "figure 4", "pretraining", {PRETRAIN: LEAST}, {PRETRAIN: MOST}),
    _pair("Pre-training helps at all", "ours", "pretraining", {PRETRAIN: 0}, {PRETRAIN: MOST}),
    _pair("Resolution helps", "figure 5", "resolution", {"resolution": LEAST}, {"resolution": MOST}),
    _pair("Upcycling and training on improves AbsRel", "figure 6", "upcycling", COPIED, SPARSE, "5.3 %"),
    _pair("Upcycling and training on improves 1 - δ1", "figure 6", "upcycling", COPIED, SPARSE, "8.6 %",
          "delta1_error"),
    _pair("Training on without experts improves AbsRel", "ours", "upcycling", COPIED, DENSE),
    _pair("Upcycling improves AbsRel over training on without experts", "ours", "upcycling", DENSE, SPARSE),
    _pair("Upcycling improves 1 - δ1 over training on without experts", "ours", "upcycling", DENSE, SPARSE, "",
          "delta1_error"),
    _pair("Denoising steps help at five draws, as in the paper (trailing, x0)", "figure 8", "draws",
          {"members": 5, "steps": 1}, {"members": 5, "steps": 10}, also=("trade",)),
    _pair("Denoising steps help at one draw (trailing, x0)", "ours", "steps", {"steps": 1}, {"steps": MOST}),
    _pair("Draws help where steps are few", "figure 9", "draws", {"members": 1, "steps": LEAST},
          {"members": MOST, "steps": LEAST}),
    _pair("Draws help where steps are many", "figure 9", "draws", {"members": 1, "steps": MOST},
          {"members": MOST, "steps": MOST}),
    _pair("The most steps and draws beat the fewest", "ours", "draws", {"members": 1, "steps": LEAST},
          {"members": MOST, "steps": MOST}),
    _pair("The most steps and draws are worth more to larger networks", "ours", "trade", {"members": 1, "steps": 1},
          {"members": MOST, "steps": 4}, rule="grows"),
    _pair("Cosine beats linear", "figure 10", "schedule", {TRAIN: "linear", TEST: "linear"}, COSINE),
    _pair("Cosine beats scaled-linear", "figure 10", "schedule", {TRAIN: ROOT, TEST: ROOT}, COSINE),
    *(
        claim
        for kind in ("x0", "eps")
        for claim in (
            _pair(f"Trailing spacing beats leading at one step, {kind}-prediction", "ours", "spacing",
                  {"prediction": kind, "spacing": "leading", "steps": 1},
                  {"prediction": kind, "spacing": "trailing", "steps": 1}),
            _pair(f"Steps help where spacing is leading, {kind}-prediction", "figure 8", "spacing",
                  {"prediction": kind, "spacing": "leading", "steps": 1},
                  {"prediction": kind, "spacing": "leading", "steps": MOST}),
            _pair(f"Steps help where spacing is trailing, {kind}-prediction", "ours", "spacing",
                  {"prediction": kind, "spacing": "trailing", "steps": 1},
                  {"prediction": kind, "spacing": "trailing", "steps": MOST}),
        )
    ),
    *(
        claim
        for kind in ("x0", "v")
        for shift in (1.0, 20.0)
        for claim in (
            *(
                _pair(f"Steps help at {draws}, {kind}, time_shift {shift:g}", "figure 8", "training-noise",
                      {"prediction": kind, "time_shift": shift, "members": n, "steps": 1},
                      {"prediction": kind, "time_shift": shift, "members": n, "steps": 10})
                for n, draws in ((1, "one draw"), (5, "five draws"))
            ),
            _pair(f"Draws of ten steps beat one step with Laplace noise, {kind}, time_shift {shift:g}", "ours",
                  "training-noise",
                  {"prediction": kind, "time_shift": shift, "draws_of": "laplace", "steps": 1},
                  {"prediction": kind, "time_shift": shift, "draws_of": "network", "steps": 10}, metric="crps"),
        )
    ),
    _pair("A small network asked more often is as good as the next larger one, at its cost", "section 1", "trade",
          {}, {}, rule="trade"),
    _pair("A small network with the most draws is as good as the next larger one, at any cost", "ours", "trade",
          {}, {"members": MOST}, rule="trade"),
    _pair("One network is as good as three: depth", "section 6.4", "generalist", ALONE, ONE, rule="as good"),
    _pair("One network is as good as three: flow", "section 6.4", "generalist", ALONE, ONE, "", "epe",
          "as good", "flow"),
    _pair("One network is as good as three: amodal", "section 6.4", "generalist", ALONE, ONE, "", "iou_error",
          "as good", "amodal"),
    *(
        claim
        for task, metric in (("depth", "abs_rel"), ("flow", "epe"), ("amodal", "iou_error"))
        for claim in (
            _pair(f"More levels lower the error: {task}", "ours", "closer", {**LEVELS, "levels": 1},
                  {**LEVELS, "levels": MOST}, "", metric, "better", task),
            _law(f"Error is a power law of the compute of levels: {task}", "ours", metric, "", task, "closer", LEVELS),
        )
    ),
)
# fmt: on
