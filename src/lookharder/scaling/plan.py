"""Laws inverted: a budget in, a recipe out.

    training budget             size and iterations                     error(N, D), D = what the budget buys for N
    budget of one answer        size, steps and draws                   error x effect of steps and draws
    both, for so many answers   total = training + answers x inference  the least error for a total, or the least
                                                                        total for an error

    training FLOPs = start + 6 MACs D       (3 forwards an image, 2 FLOPs a MAC)       inference FLOPs = 2 MACs T n

(D without the images that the start has seen, which count for the error alone.)

Sizes are those of the table, so that a plan can be trained. A budget is a limit, not a wish to spend: among plans
within 1 % of the least error, the one whose answers cost least is taken, unless answers are in the budget themselves.
Steps and draws are pairs that were measured; size and images may leave what was measured, and then the plan says by how
much. Encoding and decoding are not counted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lookharder.errors import InputError
from lookharder.scaling.laws import Effect, Family, FamilySize
from lookharder.seeding import numpy_generator

WORTH = 0.01  # of the error: less than this is not worth dearer answers
FAR = 100  # times the images of any measurement: an error that needs more is not to be had


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a plan is made for: budgets in FLOPs, or an error.

    Attributes:
        training: for all of the training; None leaves images and compute at the most that were measured.
        inference: for one answer; None leaves steps and members as they were in the measurements.
        total: for training and all answers.
        error: to be reached for the least total.
        answers: how many images will be served.
    """

    training: float | None = None
    inference: float | None = None
    total: float | None = None
    error: float | None = None
    answers: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(f"--{name}", value, "a positive finite number")
        given = {name for name, value in vars(self).items() if value is not None}
        if given not in GOALS:
            said = [" and ".join(f"--{name}" for name in sorted(goal)) for goal in GOALS]
            got = " and ".join(f"--{name}" for name in sorted(given)) or "none"
            raise InputError("budget", got, ", or ".join(said))


GOALS = (
    {"training"},
    {"inference"},
    {"training", "inference"},
    {"total", "answers"},
    {"error", "answers"},
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A recipe and what the laws expect of it.

    Attributes:
        family: whose law it is, with its resolution and architecture.
        size: the network.
        images: seen in training, those before its start included.
        steps: of denoising.
        draws: that are merged.
        effect: of steps and draws on the error of the law's own measurements.
        error: expected.
        low: lower end of the 95 % interval for the error of one such training; None where the law has no samples.
        high: upper end.
        training: FLOPs, those of what it starts from included.
        inference: FLOPs of one answer.
        total: FLOPs of training and all answers; those of training where no answers are counted.
        params_beyond: factor by which the size leaves what was measured; 1 inside.
        images_beyond: likewise the images.
        compute_beyond: training FLOPs over the most that were measured, 1 or more.
    """

    family: Family
    size: FamilySize
    images: float
    steps: int
    draws: int
    effect: Effect
    error: float
    low: float | None
    high: float | None
    training: float
    inference: float
    total: float
    params_beyond: float
    images_beyond: float
    compute_beyond: float

    @property
    def iterations(self) -> int:
        """Iterations of training."""
        return round((self.images - self.size.start_images) / self.family.batch)

    @property
    def assumes(self) -> tuple[str, ...]:
        """The assumptions that the plan rests on."""
        family = self.family
        said = [family.assumes] if family.assumes else []
        if self.extrapolates and family.training.ceiling is not None:
            said.append("that errors fall on as they did: the law has no floor")
        if (self.steps, self.draws) != (family.steps, family.draws):
            said.append(
                "that steps and draws change this network's error as they did, on average, that of the "
                f"{self.effect.networks} networks that were asked so: x {self.effect.factor:.3f}"
            )
        return tuple(said)

    @property
    def extrapolates(self) -> bool:
        """Whether anything lies outside what was measured, by more than rounding."""
        return max(self.params_beyond, self.images_beyond, self.compute_beyond) > 1.001


def plan(families: Sequence[Family], goal: Goal) -> tuple[Plan, tuple[Plan, ...]]:
    """The best plan, and the best of each family and size by rising error; for a given error by rising total.

    Args:
        families: of one task and metric.
        goal: what is given.

    Raises:
        InputError: nothing fits, or the families are not of one metric.
    """
    if len(kinds := {(family.task, family.metric) for family in families}) != 1:
        raise InputError("families", sorted(kinds), "those of one task and metric")
    options: dict[tuple[str, str], list[Plan]] = {}
    for family in families:
        for size in family.sizes:
            if here := list(_options(family, size, goal)):
                options[family.name, size.name] = here
    if not options:
        raise InputError("budget", _words(goal), _least(families, goal))
    best = _best([option for here in options.values() for option in here], goal)
    chosen = {name: _best(here, goal) for name, here in options.items()}
    chosen[best.family.name, best.size.name] = best
    shown = [_with_interval(each) for each in chosen.values()]
    shown.sort(key=lambda p: p.error if goal.error is None else p.total)
    return _with_interval(best), tuple(shown)


def _best(options: Sequence[Plan], goal: Goal) -> Plan:
    if goal.error is not None:
        return min(options, key=lambda p: p.total)
    least = min(p.error for p in options)
    if goal.total is not None:
        return min(options, key=lambda p: p.error)
    return min((p for p in options if p.error <= least * (1 + WORTH)), key=lambda p: p.inference)


def _options(family: Family, size: FamilySize, goal: Goal) -> Iterator[Plan]:
    """Each effort that the goal allows, where it leaves images to train on."""
    for effect in _effects(family, goal):
        inference, start = 2 * size.macs * effect.steps * effect.draws, 2 * size.start_macs
        if goal.inference is not None and inference > goal.inference:
            continue
        served = (goal.answers or 0.0) * inference
        image, seen = 2 * size.image_macs, size.start_images
        if goal.training is not None:
            images = seen + (goal.training - start) / image
        elif goal.total is not None:
            images = seen + (goal.total - start - served) / image
        elif goal.error is not None:
            images = _images_for(family, size, goal.error / effect.factor)
        else:  # as many as any measurement saw, but not for more compute than any took
            afforded = seen + (2 * family.largest_train_macs - start) / image
            images = min(family.training.largest[1], afforded)
        if seen + family.batch <= images < np.inf:
            training = start + image * (images - seen)
            law, active = family.training, size.n
            (least_n, least_d), (most_n, most_d) = law.smallest, law.largest
            yield Plan(
                family=family,
                size=size,
                images=float(images),
                steps=effect.steps,
                draws=effect.draws,
                effect=effect,
                error=float(law.predict(active, images)) * effect.factor,
                low=None,
                high=None,
                training=training,
                inference=inference,
                total=training + served,
                params_beyond=max(active / most_n, least_n / active, 1.0),
                images_beyond=max(images / most_d, least_d / images, 1.0),
                compute_beyond=max(training / (2 * family.largest_train_macs), 1.0),
            )


def _with_interval(plan: Plan) -> Plan:
    law = plan.family.training
    if not law.samples:
        return plan
    factors = plan.effect.sample(len(law.samples), numpy_generator(0, "effect"))
    errors = law.sample(plan.size.n, plan.images, measurement=True) * factors
    low, high = np.quantile(errors, [0.025, 0.975])
    return replace(plan, low=float(low), high=float(high))


def _effects(family: Family, goal: Goal) -> tuple[Effect, ...]:
    """Steps and draws to choose among: those of the law alone where the goal says nothing of answers."""
    own = Effect(steps=family.steps, draws=family.draws, factor=1.0, spread=0.0, networks=0)
    return (own,) if goal.inference is None and goal.answers is None else (own, *family.effects)


def _images_for(family: Family, size: FamilySize, error: float) -> float:
    """The images at which a size reaches an error, by what is left for B D^-b; infinite where they are too many."""
    law = family.training
    if np.isinf(whole := law.terms(error)):  # any network does, however little trained
        return size.start_images + family.batch
    left, b = whole - _floor(family, size), law.exponents[1]
    if left <= 0 or b <= 0:
        return float("inf")
    log_images = (law.log_coefficients[1] - np.log(left)) / b
    if log_images > np.log(FAR * law.largest[1]):
        return float("inf")
    return float(max(np.exp(log_images), size.start_images + family.batch))


def _floor(family: Family, size: FamilySize) -> float:
    """What the law's terms sum to for a size after any number of images, E + A N^-a."""
    law = family.training
    return law.offset + float(np.exp(law.log_coefficients[0] - law.exponents[0] * np.log(size.n)))


def _words(goal: Goal) -> str:
    return ", ".join(f"{k} {v:.3g}" for k, v in vars(goal).items() if v is not None)


def _least(families: Sequence[Family], goal: Goal) -> str:
    """What would do, for the error's message."""
    pairs = [(f, s) for f in families for s in f.sizes]
    if goal.error is not None:
        far = {f.name: FAR * f.training.largest[1] for f in families}
        best = min(
            float(f.training.predict(s.n, far[f.name])) * effect.factor
            for f, s in pairs
            for effect in _effects(f, goal)
        )
        return f"more than {best:.3g}, which {FAR} times the images of any measurement would reach"
    train = min(2 * (s.start_macs + s.image_macs * f.batch) for f, s in pairs)
    answer = min(2 * s.macs * e.steps * e.draws for f, s in pairs for e in _effects(f, goal))
    return f"{train:.2g} FLOPs of training and {answer:.2g} an answer, or more"
