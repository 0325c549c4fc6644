"""A study is a question and the points that answer it; a point is a job whose result is measured at a place.

    bench = Bench(preset)                       builds jobs, each once
    model = bench.depth("n4", seed=0)           pre-train -> fine-tune
    bench.points(model, "figure 8", {"size": "n4", "steps": 5}, steps=5)

Jobs of several studies that do the same have the same hash, so a shared training is done once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lookharder.study.nano import rate
from lookharder.study.price import price
from lookharder.study.queue.jobs import Graph, Job

Place = Mapping[str, int | float | str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Point:
    """One point of a study.

    Attributes:
        study: its name.
        claim: what of the paper it speaks to.
        job: the measurement.
        place: where it lies on the study's axes.
        seed: of the trainings behind it.
    """

    study: str
    claim: str
    job: Job
    place: Place
    seed: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """A question to the machine.

    Attributes:
        name: of the study.
        question: what it asks.
        points: what answers it, those wanted first in front.
        jobs: the points' jobs and all that they need, in that order.
    """

    name: str
    question: str
    points: tuple[Point, ...]
    jobs: Graph


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How large a study is; iterations are of batches of 32.

    Attributes:
        sizes: of the nano family, the small ones first.
        seeds: repeats of each training: how many by size, 3 where nothing is said.
        reference: the size at which one thing at a time is varied.
        small: a size for what costs many tokens.
        trio: sizes on which test-time compute is measured.
        pretrain: iterations of pre-training.
        pretrain_grid: those that are compared.
        finetune: iterations of fine-tuning.
        more: iterations after upcycling.
        resolutions: sides at which one size is fine-tuned, 32 among them.
        steps: counts of denoising steps that are compared.
        draws: counts of draws that are compared.
        scenes: to train on.
        held_out: to measure on.
        levels: noise levels of the loss.
        budgets: multiply-adds of pre-training and fine-tuning together, and the sizes that each is spent on.
    """

    sizes: tuple[str, ...]
    seeds: Mapping[str, int] = field(default_factory=dict)
    reference: str
    small: str
    trio: tuple[str, ...]
    pretrain: int
    pretrain_grid: tuple[int, ...]
    finetune: int
    more: int
    resolutions: tuple[int, ...]
    steps: tuple[int, ...]
    draws: tuple[int, ...]
    scenes: int
    held_out: int
    levels: int
    budgets: tuple[tuple[float, tuple[str, ...]], ...] = ()

    def repeats(self, size: str) -> range:
        """Seeds of a size."""
        return range(self.seeds.get(size, 3))


class Bench:
    """Where the jobs and points of a study are built.

    Args:
        name: of the study.
        preset: how large everything is.
    """

    def __init__(self, name: str, preset: Preset) -> None:
        self.name, self.preset = name, preset
        self._jobs: list[Job] = []
        self._points: list[Point] = []

    def pretrained(self, size: str, seed: int, iterations: int | None = None, **others: Any) -> Job:
        """A generator of pictures: class-conditional, from fresh weights; noise levels are uniform, as the paper's."""
        count = self.preset.pretrain if iterations is None else iterations
        return self._train(
            f"pre-train {size}", size, seed, {"generation": 1.0}, count, time_shift=1.0, **others
        )

    def finetuned(
        self,
        size: str,
        seed: int,
        start: Job | None,
        *,
        mix: Mapping[str, float] | None = None,
        iterations: int | None = None,
        own_chain: bool = True,
        **others: Any,
    ) -> Job:
        """A perception model: from a generator, from a perception model (`own_chain=False`) or from fresh weights.

        A target repeats one number over a patch, so where it can be read off its noisy self nothing is learnt of the
        picture: most of the training is at high noise.
        """
        mix = {"depth": 1.0} if mix is None else mix
        count = self.preset.finetune if iterations is None else iterations
        title = f"fine-tune {size} for {'+'.join(mix)}"
        others = {"time_shift": 20.0, **others}
        return self._train(
            title, size, seed, mix, count, start=start, own_chain=own_chain, **others
        )

    def length(self, size: str, macs: float) -> int:
        """Iterations of pre-training, and as many of fine-tuning for depth, that cost so many multiply-adds."""
        once = Bench(self.name, self.preset)  # whose jobs are none of ours
        return round(macs / (2 * price(once.pretrained(size, 0, 1), {}).macs))

    def depth(self, size: str, seed: int) -> Job:
        """The preset's whole road to depth."""
        return self.finetuned(size, seed, self.pretrained(size, seed))

    def upcycled(self, start: Job, experts: int, active: int, seed: int) -> Job:
        """The same function with experts."""
        config = {"experts": experts, "active": active, "seed": seed}
        return self._add("upcycle", config, (start,), f"to {experts}E{active}A: {start.title}")

    def score(
        self,
        model: Job,
        claim: str,
        place: Place,
        seed: int,
        *,
        task: str = "depth",
        steps: int = 1,
        members: int = 1,
        size: int = 32,
        **others: Any,
    ) -> None:
        """A point: errors of a model on held-out scenes."""
        config = {
            "task": task,
            "scenes": self.preset.held_out,
            "size": size,
            "steps": steps,
            "members": members,
            "seed": 0,
            **others,
        }
        job = self._add("evaluate", config, (model,), f"{task}, {steps} x {members}: {model.title}")
        place = {**place, "steps": steps, "members": members}
        self._points.append(Point(study=self.name, claim=claim, job=job, place=place, seed=seed))

    def loss(
        self, model: Job, claim: str, place: Place, seed: int, task: str, **others: Any
    ) -> None:
        """A point: diffusion loss of a model on held-out scenes."""
        config = {
            "task": task,
            "scenes": self.preset.held_out,
            "size": 32,
            "levels": self.preset.levels,
            "seed": 0,
            **others,
        }
        job = self._add("loss", config, (model,), f"{task} loss: {model.title}")
        self._points.append(Point(study=self.name, claim=claim, job=job, place=place, seed=seed))

    def study(self, question: str) -> Study:
        """What was built."""
        return Study(
            name=self.name, question=question, points=tuple(self._points), jobs=Graph(self._jobs)
        )

    def _train(
        self,
        title: str,
        size: str,
        seed: int,
        mix: Mapping[str, float],
        iterations: int,
        *,
        start: Job | None = None,
        own_chain: bool = False,
        **others: Any,
    ) -> Job:
        arguments = {
            "size": size,
            "mix": dict(mix),
            "iterations": iterations,
            "seed": seed,
            "lr": rate(size),
            "optimizer": "muon",
            "scenes": self.preset.scenes,
            **others,
        }
        config = {
            "recipe": "nano",
            "arguments": arguments,
            "own_chain": own_chain and start is not None,
        }
        needs = () if start is None else (start,)
        return self._add("train", config, needs, f"{title}, {iterations} iterations, seed {seed}")

    def _add(
        self,
        kind: Literal["train", "upcycle", "evaluate", "loss"],
        config: Mapping[str, Any],
        needs: Sequence[Job],
        title: str,
    ) -> Job:
        names = tuple(job.hash for job in needs)
        job = Job(kind=kind, config=config, needs=names, title=title)
        known = {other.hash: other for other in self._jobs}
        if job.hash in known:
            return known[job.hash]
        cost = price(job, known)
        job = Job(kind=kind, config=config, needs=names, title=title, cost=2 * cost.macs)
        self._jobs.append(job)
        return job
