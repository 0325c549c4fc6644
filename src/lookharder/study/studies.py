"""The ten studies of the paper, and one that the planner needs: each a function that puts its points on a bench.

    model-size    figures 2, 3     larger networks, lower loss and error?
    pretraining   figure 4         more pre-training, better fine-tuning?
    resolution    figure 5         more tokens an image?
    upcycling     figure 6         experts, against training the dense network as long?
    steps         figure 8         more denoising steps?
    draws         figure 9         more draws, merged?
    schedule      figure 10        linear, scaled-linear, cosine, in training and at test time?
    spacing       ours             how much of figure 8 is leading spacing?
    trade         section 1        a larger network once, or a smaller one often?
    generalist    section 6.4      one network for all tasks, against one for each?
    allocation    ours             a larger network, or more images?

and one that "all" leaves out:

    training-noise  ours           are steps worth more where less of the training was at high noise?

One denoising step and one draw is the baseline that all test-time compute has to beat.
"""

from collections.abc import Callable, Iterable
from itertools import product
from typing import Any, get_args

from lookharder.errors import InputError
from lookharder.evaluate.forecast import Rival
from lookharder.study.grid import Bench, Place, Preset, Study
from lookharder.study.presets import bench_for


def model_size(bench: Bench) -> str:
    """Figures 2 and 3: the same training at every size."""
    for size in bench.preset.sizes:
        for seed in bench.preset.repeats(size):
            before = bench.pretrained(size, seed)
            model = bench.depth(size, seed)
            bench.loss(before, "figure 2", {"size": size}, seed, "generation")
            bench.loss(model, "figure 3", {"size": size}, seed, "depth")
            for count, members in bench.preset.efforts:
                bench.score(model, "figure 3", {"size": size}, seed, steps=count, members=members)
    return (
        "Do loss and error fall as a power of training compute, when it is the network that grows?"
    )


def pretraining(bench: Bench) -> str:
    """Figure 4: one size, the same fine-tuning, after more and more pre-training; and after none."""
    size = bench.preset.reference
    for iterations in bench.preset.pretrain_grid:
        for seed in bench.preset.repeats(size):
            model = bench.depth(size, seed, pretrain=iterations)
            place: Place = {"size": size, "pretrain_iterations": iterations}
            bench.score(model, "figure 4", place, seed)
            bench.loss(model, "figure 4", place, seed, "depth")
            if iterations:
                before = bench.pretrained(size, seed, iterations)
                bench.loss(before, "figure 4", place, seed, "generation")
    return "Does more pre-training make the same fine-tuning better?"


def resolution(bench: Bench) -> str:
    """Figure 5: fine-tuned and asked at several resolutions."""
    for place, seed, model, side in bench.at_resolutions():
        bench.score(model, "figure 5", place, seed, side=side)
    return "Does error fall as a power of compute, when it is the number of tokens that grows?"


def upcycling(bench: Bench) -> str:
    """Figure 6: fine-tuned networks trained on, with experts or as they are."""
    preset = bench.preset
    for size, variants in preset.upcycled.items():
        for seed in preset.repeats(size):
            dense = bench.depth(size, seed)
            place: Place = {"size": size, "experts": 1, "active": 1, "more_iterations": 0}
            bench.score(dense, "figure 6", place, seed)
            for experts, active in variants:
                model = bench.trained_on(dense, size, seed, (experts, active))
                place = {
                    "size": size,
                    "experts": experts,
                    "active": active,
                    "more_iterations": preset.more,
                }
                bench.score(model, "figure 6", place, seed)
    return "Do experts copied from a trained network gain more than training it on as it is?"


def steps(bench: Bench) -> str:
    """Figure 8: more and more denoising steps."""
    where = bench.preset.steps_spacing
    how: dict[str, Any] = {} if where is None else {"spacing": where}
    for size, seed in _trio(bench):
        model = bench.depth(size, seed)
        for count in bench.preset.steps:
            bench.score(model, "figure 8", {"size": size}, seed, steps=count, **how)
    return "Does error fall as a power of denoising steps?"


def draws(bench: Bench) -> str:
    """Figure 9: more and more draws, merged."""
    for size, seed in _trio(bench):
        model = bench.depth(size, seed)
        for count in bench.preset.draws:
            for length, merge in product(bench.preset.draws_steps, bench.preset.merges):
                how: dict[str, Any] = {} if merge is None else {"merge": merge}
                place: Place = {"size": size, **how}
                bench.score(model, "figure 9", place, seed, steps=length, members=count, **how)
    return "Does error fall as a power of draws?"


def schedule(bench: Bench) -> str:
    """Figure 10: three noise schedules to fine-tune on, and to spread the steps over at test time."""
    size = bench.preset.reference
    for seed in bench.preset.repeats(size):
        for trained in ("scaled-linear", "linear", "cosine"):
            model = bench.depth(size, seed, schedule=trained)
            for asked in bench.preset.test_schedules:
                place: Place = {"size": size, "train_schedule": trained}
                how: dict[str, Any] = {} if asked is None else {"noise_schedule": asked}
                place = place if asked is None else {**place, "test_schedule": asked}
                for count in bench.preset.schedule_steps:
                    bench.score(model, "figure 10", place, seed, steps=count, **how)
    return "Which noise schedule is best to train on, and which to spend the steps by?"


def spacing(bench: Bench) -> str:
    """Trailing and leading spacing, for our prediction and for the paper's."""
    size = bench.preset.reference
    for seed in bench.preset.repeats(size):
        for prediction in bench.preset.predictions:
            model = bench.depth(size, seed, prediction=prediction)
            for where in ("trailing", "leading"):
                place: Place = {"size": size, "prediction": prediction, "spacing": where}
                for count in bench.preset.steps:
                    how: dict[str, Any] = {"steps": count, "members": 1, "spacing": where}
                    bench.score(model, "spacing", place, seed, **how)
    return "How much of what steps gain is only repair of where the first step is taken?"


def trade(bench: Bench) -> str:
    """Every size with every effort: which of them has the least error at its cost."""
    for size in bench.preset.sizes:
        for seed in bench.preset.repeats(size):
            model = bench.depth(size, seed)
            for count, members in bench.preset.trade:
                bench.score(model, "trade", {"size": size}, seed, steps=count, members=members)
    return (
        "At a given test-time cost, is a larger network better, or a smaller one asked more often?"
    )


def generalist(bench: Bench) -> str:
    """Section 6.4: a specialist for each task, one network for all of them, and that one with experts."""
    size, (count, members) = bench.preset.reference, bench.preset.generalist
    for seed in bench.preset.repeats(size):
        for name, by_task in bench.generalists(seed).items():
            place: Place = {"size": size, "model": name}
            for task, model in by_task.items():
                how: dict[str, Any] = {"task": task, "steps": count, "members": members}
                bench.score(model, "section 6.4", place, seed, **how)
    return "Is one network as good at three tasks as three networks of the same total training?"


def allocation(bench: Bench) -> str:
    """Budgets of a whole training, pre-training as long as fine-tuning, each spent on several sizes (isoFLOP)."""
    for macs, sizes in bench.preset.budgets:
        for size in sizes:
            length = bench.length(size, macs)
            place: Place = {"size": size, "iterations": length}
            for seed in bench.preset.repeats(size):
                model = bench.depth(size, seed, pretrain=length, finetune=length)
                bench.score(model, "isoFLOP", place, seed)
                bench.loss(model, "isoFLOP", place, seed, "depth")
    return "Is a training budget better spent on a larger network, or on more images?"


def training_noise(bench: Bench) -> str:
    """One generator, fine-tuned on more noise or less, by what is predicted: what are steps worth then?"""
    for size, shift, prediction in bench.preset.noise:
        for seed in bench.preset.repeats(size):
            model = bench.trained_by_noise(size, seed, shift, prediction)
            place: Place = {"size": size, "time_shift": shift, "prediction": prediction}
            for count, members in bench.preset.noise_efforts:
                bench.score(model, "training noise", place, seed, steps=count, members=members)
            for count in bench.preset.noise_steps:
                bench.forecast(model, "training noise", place, seed, count)
            for rival in get_args(Rival):
                bench.forecast(model, "training noise", place, seed, 1, rival)
    return "Does the noise that a network is trained on decide what steps are worth?"


# in the order in which they are best run: what is shared, cheap and rich in claims first
STUDIES: dict[str, Callable[[Bench], str]] = {
    "model-size": model_size,
    "steps": steps,
    "draws": draws,
    "spacing": spacing,
    "schedule": schedule,
    "trade": trade,
    "pretraining": pretraining,
    "upcycling": upcycling,
    "resolution": resolution,
    "generalist": generalist,
    "allocation": allocation,
}
# asked by name: records, laws and claims of "all" do without them
MORE_STUDIES: dict[str, Callable[[Bench], str]] = {"training-noise": training_noise}


def build(name: str, preset: str) -> Study:
    """A study at the size of a preset.

    Raises:
        InputError: there is no such study, or no such preset.
    """
    every = STUDIES | MORE_STUDIES
    if name not in every:
        raise InputError("NAME", repr(name), f"all, or one of {list(every)}")
    bench = bench_for(name, preset)
    if not _has(name, bench.preset):
        raise InputError("NAME", repr(name), f"another study, at the size of {preset}")
    return bench.study(every[name](bench))


def build_all(preset: str, more: bool = False) -> tuple[Study, ...]:
    """All studies at the size of a preset, in the order in which they are best run; `more`: with those of no "all"."""
    size = bench_for("all", preset).preset
    names = [*STUDIES, *(MORE_STUDIES if more else ())]
    return tuple(build(name, preset) for name in names if _has(name, size))


def _has(name: str, preset: Preset) -> bool:
    """Whether a preset has the study: the paper's own has none of ours that need trainings of their own."""
    return bool({"allocation": preset.budgets, "training-noise": preset.noise}.get(name, True))


def _trio(bench: Bench) -> Iterable[tuple[str, int]]:
    """Sizes and seeds on which test-time compute is measured."""
    preset = bench.preset
    return [(size, seed) for size in preset.trio for seed in preset.repeats(size)]
