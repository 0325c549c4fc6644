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
    allocation    ours             a larger network, or more pictures?

One denoising step and one draw is the baseline that all test-time compute has to beat.
"""

from collections.abc import Callable, Iterable
from typing import Any

from lookharder.errors import InputError
from lookharder.study.grid import Bench, Place, Preset, Study
from lookharder.study.queue.jobs import Job


def model_size(bench: Bench) -> str:
    """Figures 2 and 3: the same training at every size."""
    for size in bench.preset.sizes:
        for seed in bench.preset.repeats(size):
            before = bench.pretrained(size, seed)
            model = bench.finetuned(size, seed, before)
            bench.loss(before, "figure 2", {"size": size}, seed, "generation")
            bench.loss(model, "figure 3", {"size": size}, seed, "depth")
            bench.score(model, "figure 3", {"size": size}, seed)
            # of the paper's 50 steps and 5 draws, what networks of this size can still gain from
            bench.score(model, "figure 3", {"size": size}, seed, steps=10, members=5)
    return (
        "Do loss and error fall as a power of training compute, when it is the network that grows?"
    )


def pretraining(bench: Bench) -> str:
    """Figure 4: one size, the same fine-tuning, after more and more pre-training; and after none."""
    size = bench.preset.reference
    for iterations in (0, *bench.preset.pretrain_grid):
        for seed in bench.preset.repeats(size):
            before = bench.pretrained(size, seed, iterations) if iterations else None
            model = bench.finetuned(size, seed, before)
            place: Place = {"size": size, "pretrain_iterations": iterations}
            bench.score(model, "figure 4", place, seed)
            bench.loss(model, "figure 4", place, seed, "depth")
            if before is not None:
                bench.loss(before, "figure 4", place, seed, "generation")
    return "Does more pre-training make the same fine-tuning better?"


def resolution(bench: Bench) -> str:
    """Figure 5: one size, fine-tuned and asked at several resolutions, scored at one.

    All start from one pre-training at 32 pixels; the paper pre-trains at each resolution.
    """
    size, sides = bench.preset.small, bench.preset.resolutions
    for side in sides:
        for seed in bench.preset.repeats(size):
            more: dict[str, Any] = {} if side == 32 else {"resolution": side}
            model = bench.finetuned(size, seed, bench.pretrained(size, seed), **more)
            place: Place = {"size": size, "resolution": side}
            bench.score(model, "figure 5", place, seed, size=max(sides))
    return "Does error fall as a power of compute, when it is the number of tokens that grows?"


def upcycling(bench: Bench) -> str:
    """Figure 6: fine-tuned networks trained on, with experts or as they are."""
    preset = bench.preset
    more: dict[str, Any] = {"iterations": preset.more, "own_chain": False}
    for size in sizes_near(preset, preset.reference):
        for seed in preset.repeats(size):
            dense = bench.depth(size, seed)
            place: Place = {"size": size, "experts": 1, "active": 1, "more_iterations": 0}
            bench.score(dense, "figure 6", place, seed)
            variants = [(1, 1), (4, 1), (4, 2), (8, 2)]
            for experts, active in variants if size == preset.reference else [(1, 1), (8, 2)]:
                sparse = bench.upcycled(dense, experts, active, seed) if experts > 1 else dense
                model = bench.finetuned(size, seed, sparse, **more)
                place = {
                    "size": size,
                    "experts": experts,
                    "active": active,
                    "more_iterations": preset.more,
                }
                bench.score(model, "figure 6", place, seed)
    return "Do experts copied from a trained network gain more than training it on as it is?"


def steps(bench: Bench) -> str:
    """Figure 8: more and more denoising steps, one draw."""
    for size, seed in _trio(bench):
        model = bench.depth(size, seed)
        for count in bench.preset.steps:
            bench.score(model, "figure 8", {"size": size}, seed, steps=count)
    return "Does error fall as a power of denoising steps?"


def draws(bench: Bench) -> str:
    """Figure 9: more and more draws, merged, at one step and at four."""
    for size, seed in _trio(bench):
        model = bench.depth(size, seed)
        for count in bench.preset.draws:
            for length in (1, 4):
                bench.score(model, "figure 9", {"size": size}, seed, steps=length, members=count)
    return "Does error fall as a power of draws?"


def schedule(bench: Bench) -> str:
    """Figure 10: three noise schedules to fine-tune on, and three to spread the steps over at test time."""
    size = bench.preset.reference
    names = ("scaled-linear", "linear", "cosine")
    for seed in bench.preset.repeats(size):
        for trained in names:
            more: dict[str, Any] = {} if trained == names[0] else {"schedule": trained}
            model = bench.finetuned(size, seed, bench.pretrained(size, seed), **more)
            for asked in names:
                for count in (1, 4, 20):
                    place: Place = {"size": size, "train_schedule": trained, "test_schedule": asked}
                    bench.score(model, "figure 10", place, seed, steps=count, noise_schedule=asked)
    return "Which noise schedule is best to train on, and which to spend the steps by?"


def spacing(bench: Bench) -> str:
    """Trailing and leading spacing, for our prediction and for the paper's."""
    size = bench.preset.reference
    faithful: dict[str, Any] = {"prediction": "eps", "zero_terminal_snr": False}
    for seed in bench.preset.repeats(size):
        before = bench.pretrained(size, seed, **faithful)
        models = {
            "x0": bench.depth(size, seed),
            "eps": bench.finetuned(size, seed, before, **faithful),
        }
        for prediction, model in models.items():
            for where in ("trailing", "leading"):
                for count in bench.preset.steps:
                    place: Place = {"size": size, "prediction": prediction, "spacing": where}
                    bench.score(model, "spacing", place, seed, steps=count, spacing=where)
    return "How much of what steps gain is only repair of where the first step is taken?"


def trade(bench: Bench) -> str:
    """Every size with every effort: which of them has the least error at its cost."""
    efforts = ((1, 1), (1, 2), (2, 1), (4, 1), (1, 4), (4, 4), (10, 5), (4, 16))
    for size in bench.preset.sizes:
        for seed in bench.preset.repeats(size):
            model = bench.depth(size, seed)
            for count, members in efforts:
                place: Place = {"size": size}
                bench.score(model, "trade", place, seed, steps=count, members=members)
    return (
        "At a given test-time cost, is a larger network better, or a smaller one asked more often?"
    )


def generalist(bench: Bench) -> str:
    """Section 6.4: a specialist for each task, one network for all of them, and that one with experts."""
    preset, size = bench.preset, bench.preset.reference
    tasks = ("depth", "flow", "amodal")
    thirds = dict.fromkeys(tasks, 1.0)
    for seed in preset.repeats(size):
        before = bench.pretrained(size, seed)
        alone = {t: bench.finetuned(size, seed, before, mix={t: 1.0}) for t in tasks}
        one = bench.finetuned(size, seed, before, mix=thirds, iterations=3 * preset.finetune)
        more: dict[str, Any] = {"mix": thirds, "iterations": preset.more, "own_chain": False}
        dense = bench.finetuned(size, seed, one, **more)
        sparse = bench.finetuned(size, seed, bench.upcycled(one, 8, 2, seed), **more)
        models: dict[str, dict[str, Job]] = {
            "specialist": alone,
            "generalist": dict.fromkeys(tasks, one),
            "generalist, longer": dict.fromkeys(tasks, dense),
            "generalist, 8E2A": dict.fromkeys(tasks, sparse),
        }
        for name, by_task in models.items():
            for task, model in by_task.items():
                place: Place = {"size": size, "model": name}
                bench.score(model, "section 6.4", place, seed, task=task)
    return "Is one network as good at three tasks as three networks of the same total training?"


def allocation(bench: Bench) -> str:
    """Budgets of a whole training, pre-training as long as fine-tuning, each spent on several sizes (isoFLOP)."""
    for macs, sizes in bench.preset.budgets:
        for size in sizes:
            length = bench.length(size, macs)
            place: Place = {"size": size, "iterations": length}
            for seed in bench.preset.repeats(size):
                before = bench.pretrained(size, seed, length)
                model = bench.finetuned(size, seed, before, iterations=length)
                bench.score(model, "isoFLOP", place, seed)
                bench.loss(model, "isoFLOP", place, seed, "depth")
    return "Is a training budget better spent on a larger network, or on more pictures?"


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


def build(name: str, preset: Preset) -> Study:
    """A study at the size of a preset.

    Raises:
        InputError: there is no such study.
    """
    if name not in STUDIES:
        raise InputError("NAME", repr(name), f"all, or one of {list(STUDIES)}")
    bench = Bench(name, preset)
    return bench.study(STUDIES[name](bench))


def sizes_near(preset: Preset, size: str) -> tuple[str, ...]:
    """A size and its neighbours in the preset."""
    at = preset.sizes.index(size)
    return preset.sizes[max(0, at - 1) : at + 2]


def _trio(bench: Bench) -> Iterable[tuple[str, int]]:
    """Sizes and seeds on which test-time compute is measured."""
    preset = bench.preset
    return [(size, seed) for size in preset.trio for seed in preset.repeats(size)]
