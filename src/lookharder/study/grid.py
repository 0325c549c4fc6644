"""A study is a question and the points that answer it; a point is a job whose result is measured at a place.

    bench = NanoBench("steps", LAPTOP)                                  builds jobs, each once
    model = bench.depth("n4", seed=0)                                   pre-train -> fine-tune
    bench.score(model, "figure 8", {"size": "n4"}, seed=0, steps=5)     a point
    study = bench.study("Do more steps help?")

Jobs of several studies that do the same have the same hash, so a shared training is done once.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lookharder.study.price import price
from lookharder.study.queue.jobs import Graph, Job

Place = Mapping[str, int | float | str]
StepsAndDraws = tuple[int, int]  # denoising steps, and draws that are merged
ExpertCounts = tuple[
    int, int
]  # experts of a block, and those in use for a token; (1, 1) is a dense network


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
    """A question, and the measurements that answer it.

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
    """How large the studies are.

    Attributes:
        sizes: of networks, the small ones first.
        seeds: repeats of each training: how many by size.
        repeats_of_others: repeats of the sizes that `seeds` does not name.
        reference: the size at which one thing at a time is varied.
        small: a size for what costs many tokens.
        trio: sizes on which test-time compute is measured.
        pretrain: iterations of pre-training.
        pretrain_grid: those that are compared; 0 is none.
        finetune: iterations of fine-tuning.
        more: iterations after upcycling.
        upcycled: which experts each size is given.
        resolutions: sides at which one size is fine-tuned.
        effort: at which is measured where nothing else is said.
        efforts: at which every size is measured.
        steps: counts of denoising steps that are compared.
        steps_spacing: at which timesteps these are taken; None for the model's own.
        draws: counts of draws that are compared.
        draws_steps: denoising steps of these draws.
        merges: ways in which draws are merged that are compared; None for the model's own.
        test_schedules: noise schedules by which the steps are spread; None is the one that a model was trained on.
        schedule_steps: denoising steps at which noise schedules are compared.
        predictions: what is predicted by the networks whose spacings are compared.
        trade: efforts at which every size is measured, to trade one for the other.
        generalist: effort at which tasks are measured.
        scenes: to train on.
        held_out: to measure on.
        levels: noise levels of the loss.
        budgets: multiply-adds of pre-training and fine-tuning together, and the sizes that each is spent on.
        noise: size, time shift and prediction of the fine-tunings that differ in the noise they are trained on.
        noise_efforts: at which their merged answers are measured.
        noise_steps: denoising steps at which their draws are measured.
        noise_draws: how many.
    """

    sizes: tuple[str, ...]
    seeds: Mapping[str, int] = field(default_factory=dict)
    repeats_of_others: int = 3
    reference: str
    small: str
    trio: tuple[str, ...]
    pretrain: int
    pretrain_grid: tuple[int, ...]
    finetune: int
    more: int
    upcycled: Mapping[str, tuple[ExpertCounts, ...]]
    resolutions: tuple[int, ...]
    effort: StepsAndDraws = (1, 1)
    efforts: tuple[StepsAndDraws, ...]
    steps: tuple[int, ...]
    steps_spacing: str | None = None
    draws: tuple[int, ...]
    draws_steps: tuple[int, ...]
    merges: tuple[str | None, ...] = (None,)
    test_schedules: tuple[str | None, ...]
    schedule_steps: tuple[int, ...]
    predictions: tuple[str, ...]
    trade: tuple[StepsAndDraws, ...]
    generalist: StepsAndDraws = (1, 1)
    scenes: int = 0
    held_out: int = 0
    levels: int
    budgets: tuple[tuple[float, tuple[str, ...]], ...] = ()
    noise: tuple[tuple[str, float, str], ...] = ()
    noise_efforts: tuple[StepsAndDraws, ...] = ()
    noise_steps: tuple[int, ...] = ()
    noise_draws: int = 8

    def repeats(self, size: str) -> range:
        """The seeds of a size."""
        return range(self.seeds.get(size, self.repeats_of_others))


class Bench(ABC):
    """Builds the jobs and points of a study; a subclass says which trainings there are.

    Args:
        name: of the study.
        preset: how large everything is.
    """

    def __init__(self, name: str, preset: Preset) -> None:
        self.name, self.preset = name, preset
        self._jobs: list[Job] = []
        self._points: list[Point] = []

    @abstractmethod
    def pretrained(self, size: str, seed: int, iterations: int | None = None) -> Job:
        """Add the training of a generator of images; None = iterations of the preset."""

    @abstractmethod
    def depth(
        self,
        size: str,
        seed: int,
        *,
        pretrain: int | None = None,
        finetune: int | None = None,
        schedule: str | None = None,
        prediction: str | None = None,
    ) -> Job:
        """Add the training of a network for depth, fine-tuned from a generator; None = as the preset has it.

        Args:
            size: of the network.
            seed: of both trainings.
            pretrain: iterations of the generator; 0 = from fresh weights.
            finetune: iterations of the fine-tuning.
            schedule: noise schedule of the fine-tuning.
            prediction: what both trainings predict, "x0" or "eps".
        """

    @abstractmethod
    def trained_by_noise(self, size: str, seed: int, time_shift: float, prediction: str) -> Job:
        """Add a fine-tuning for depth, from the generator that all of them share, by the noise it is trained on."""

    @abstractmethod
    def trained_on(self, model: Job, size: str, seed: int, experts: ExpertCounts) -> Job:
        """Add a longer training of a network for depth, with experts copied from its layers or (1, 1) as it is."""

    @abstractmethod
    def at_resolutions(self) -> Iterable[tuple[Place, int, Job, int]]:
        """Add networks for depth at several resolutions: place, seed, training, side at which it is scored."""

    @abstractmethod
    def generalists(self, seed: int) -> Mapping[str, Mapping[str, Job]]:
        """Add specialists and networks of all tasks: name -> task -> training."""

    @abstractmethod
    def length(self, size: str, macs: float) -> int:
        """Iterations of pre-training, and as many of fine-tuning for depth, that cost so many multiply-adds."""

    @abstractmethod
    def held_out(self, task: str, side: int | None) -> dict[str, Any]:
        """The held-out data of a task: how many scenes, of which side, from where; None = the usual side."""

    def score(
        self,
        model: Job,
        claim: str,
        place: Place,
        seed: int,
        *,
        task: str = "depth",
        steps: int | None = None,
        members: int | None = None,
        side: int | None = None,
        **others: Any,
    ) -> None:
        """Add a point: errors of a model on held-out scenes; None = the preset's effort, the usual side."""
        steps = self.preset.effort[0] if steps is None else steps
        members = self.preset.effort[1] if members is None else members
        how = {"steps": steps, "members": members, "seed": 0, **others}
        config = {"task": task, **self.held_out(task, side), **how}
        job = self.add("evaluate", config, (model,), f"{task}, {steps} x {members}: {model.title}")
        place = {**place, "steps": steps, "members": members}
        self._points.append(Point(study=self.name, claim=claim, job=job, place=place, seed=seed))

    def loss(self, model: Job, claim: str, place: Place, seed: int, task: str) -> None:
        """Add a point: the diffusion loss of a model on held-out scenes."""
        config = {
            "task": task,
            **self.held_out(task, None),
            "levels": self.preset.levels,
            "seed": 0,
        }
        job = self.add("loss", config, (model,), f"{task} loss: {model.title}")
        self._points.append(Point(study=self.name, claim=claim, job=job, place=place, seed=seed))

    def forecast(
        self, model: Job, claim: str, place: Place, seed: int, steps: int, rival: str | None = None
    ) -> None:
        """Add a point: draws of a model for depth, or copies of one answer with noise, as a forecast."""
        how = {} if rival is None else {"rival": rival}
        count = {"steps": steps, "members": self.preset.noise_draws, "seed": 0}
        config = {"task": "depth", **self.held_out("depth", None), **count, **how}
        title = f"{rival or 'draws'}, {steps} x {self.preset.noise_draws}: {model.title}"
        job = self.add("forecast", config, (model,), title)
        place = {**place, "steps": steps, "members": self.preset.noise_draws}
        place = {**place, "draws_of": rival or "network"}
        self._points.append(Point(study=self.name, claim=claim, job=job, place=place, seed=seed))

    def add(
        self,
        kind: Literal["train", "upcycle", "evaluate", "loss", "forecast"],
        config: Mapping[str, Any],
        needs: Sequence[Job],
        title: str,
    ) -> Job:
        """Add a job and what it costs; if the same job is there already, return that one."""
        names = tuple(job.hash for job in needs)
        job = Job(kind=kind, config=config, needs=names, title=title)
        known = {other.hash: other for other in self._jobs}
        if job.hash in known:
            return known[job.hash]
        cost = price(job, known)
        job = Job(kind=kind, config=config, needs=names, title=title, cost=2 * cost.macs)
        self._jobs.append(job)
        return job

    def study(self, question: str) -> Study:
        """The study of all jobs and points that were added."""
        return Study(
            name=self.name, question=question, points=tuple(self._points), jobs=Graph(self._jobs)
        )
