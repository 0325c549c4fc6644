"""From pictures to predictions. `Predictor.refine` is the system on one screen; the rest is sizes and choices.

    from lookharder import Predictor
    predictor = Predictor.from_pretrained("tiny")
    depth = predictor(image, task="depth", ensemble_size=4).prediction      # (1, H, W, 1) in [0, 1], larger = farther
    depth = predictor(image, budget="2s")                                   # .choice says what it was spent on
    for depth in predictor.stream(image, ensemble_size=20): ...             # better with every draw

Every draw has a noise of its own, keyed by (seed, picture, draw, field), so what a picture gets depends neither on its
neighbours in a batch nor on how the work is chunked. The condition is encoded once and shared by all draws.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lookharder.chain import Chain, find
from lookharder.data.example import Batch, Example
from lookharder.errors import InputError
from lookharder.predict.acceleration import Precision, accelerated
from lookharder.predict.budget import Plan, Prices, Size, Speed, plan, probe
from lookharder.predict.effort import Effort, Until
from lookharder.predict.inputs import Picture, batch_of, check, resized
from lookharder.predict.memory import chunk_within
from lookharder.predict.options import Request
from lookharder.predict.result import Answer, Prediction, presented, updated
from lookharder.predict.sampling import Easel
from lookharder.predict.settings import Frontier

__all__ = ["Answer", "Prediction", "Predictor"]


class Predictor:
    """A trained system, on a device, with its table of measured settings if it has one."""

    def __init__(
        self,
        chain: Chain,
        device: str | torch.device = "cpu",
        name: str = "unnamed",
        frontier: Frontier | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.chain = chain.to(self.device)
        self.chain.network.eval()
        self.name, self.frontier = name, frontier
        self._speeds: dict[tuple[Size, int], Speed] = {}

    @classmethod
    def from_pretrained(
        cls,
        path_or_name: str | Path,
        device: str | torch.device = "cpu",
        precision: Precision = "fp32",
        compiled: bool = False,
    ) -> "Predictor":
        """Load a model folder, or a model shipped with the package by its name.

        Args:
            path_or_name: which.
            device: where it works.
            precision: of the network's weights and tokens, "fp32" or "bf16".
            compiled: fuse the network's blocks by `torch.compile`; needs a C++ compiler, and a minute at first.

        Raises:
            InputError: where there is neither, or the folder is not whole.
        """
        folder = find(path_or_name)
        chain = accelerated(Chain.load(folder), precision=precision, compiled=compiled)
        return cls(chain, device, str(path_or_name), Frontier.read(folder))

    def save_pretrained(self, folder: str | Path, card: str | None = None) -> None:
        """Write a model folder.

        Raises:
            InputError: the weights were rounded when the model was loaded.
        """
        if next(self.chain.network.parameters()).dtype != torch.float32:
            raise InputError("precision", "bf16", "fp32: rounded weights are not the model's")
        self.chain.save(Path(folder), card or f"# {self.name}\n")
        if self.frontier is not None:
            self.frontier.write(Path(folder))

    def refine(
        self,
        task_name: str,
        batch: Batch,
        effort: Effort,
        *,
        seed: int = 0,
        chunk: int = 64,
        every: int | None = None,
        until: Until | None = None,
        deadline: float | None = None,
    ) -> Iterator[Answer]:
        """The chain: pictures -> condition -> latents -> images -> draws -> an answer, again with every round of draws.

        Args:
            task_name: a task of the model.
            batch: pictures (B, 3, H, W), sides multiples of `chain.multiple`.
            effort: what is done for each picture.
            seed: key of the noise.
            chunk: network inputs at a time; changes memory, not the answer.
            every: draws of each picture in a round; None = all in one.
            until: pictures that meet this rule leave, and what they would have cost is saved.
            deadline: no further round is begun that would not end by then, as `time.perf_counter` counts.
        """
        chain, task = self.chain, self.chain.task(task_name)
        easel = Easel(chain, task, batch.to(self.device), effort, seed=seed, chunk=chunk)  # encodes
        every = effort.members if every is None else every
        active, n = list(range(len(easel.pictures))), 0
        draws: Tensor | None = None
        answer: Answer | None = None
        while active and n < effort.members:
            began = time.perf_counter()
            fresh = range(n, min(n + every, effort.members))
            painted = easel.paint([(b, i) for i in fresh for b in active])  # (more A, F, 3, H, W)
            images = painted.unflatten(0, (len(fresh), -1))  # (more, A, F, 3, H, W)
            new = task.from_image(images)  # (more, A, ...) depth, flow or mask
            draws = new if draws is None else torch.cat([draws, new])
            n += len(fresh)
            merged, spread = task.merge(draws)  # (A, ...), (A, H, W)
            answer = updated(answer, active, merged, spread, images[0], n, easel.macs)
            yield answer

            doubts = spread.mean((1, 2)).tolist()
            keep = [i for i, s in enumerate(doubts) if until is None or not until.met(s, n, every)]
            active, draws = [active[i] for i in keep], draws[:, keep]
            if deadline is not None and time.perf_counter() * 2 - began > deadline:
                return

    def unfold(
        self, task_name: str, batch: Batch, effort: Effort, *, seed: int = 0, chunk: int = 64
    ) -> Iterator[Answer]:
        """The same chain, answering after every denoising step of all draws; arguments as of `refine`."""
        task = self.chain.task(task_name)
        easel = Easel(self.chain, task, batch.to(self.device), effort, seed=seed, chunk=chunk)
        pictures = range(len(easel.pictures))
        for painted in easel.watch([(b, n) for n in range(effort.members) for b in pictures]):
            images = painted.unflatten(0, (effort.members, -1))  # (N, B, F, 3, H, W)
            merged, spread = task.merge(task.from_image(images))
            yield updated(None, [*pictures], merged, spread, images[0], effort.members, easel.macs)

    def draw(
        self, task_name: str, batch: Batch, effort: Effort, *, seed: int = 0, chunk: int = 64
    ) -> Answer:
        """All draws of `refine` in one round."""
        (answer,) = self.refine(task_name, batch, effort, seed=seed, chunk=chunk)
        return answer

    def __call__(
        self, image: Picture | Sequence[Picture], task: str = "depth", **options: Any
    ) -> Prediction:
        """Predict for one picture or several of one size.

        Args:
            image: PIL image, (3, H, W) or (H, W, 3) uint8 array or tensor, or a list of them.
            task: "depth", "flow" or "amodal".
            **options: `Request` lists them; they follow diffusers' Marigold pipelines.

        Raises:
            InputError: naming the argument that cannot be used.
        """
        every = 2 if options.get("until") is not None else None
        *_, last = self.stream(image, task, every=every, **options)
        return last

    def predict_examples(
        self, examples: Sequence[Example], task: str, **options: Any
    ) -> Prediction:
        """Predict examples of one size as a user's pictures are, with what the task needs of each.

        Args:
            examples: one or more.
            task: name of the task.
            **options: as of a call.

        Raises:
            InputError: an example lacks what the task needs.
        """
        given: dict[str, list[Any]] = {}
        for each in self.chain.task(task).inputs:
            given[each.argument] = [getattr(example, each.field) for example in examples]
            for example, value in zip(examples, given[each.argument], strict=True):
                allowed = f"a set that annotates `{each.field}`"
                check(value is not None, f"data ({example.name})", f"no `{each.field}`", allowed)
        return self([example.image for example in examples], task, **given, **options)

    def stream(
        self,
        image: Picture | Sequence[Picture],
        task: str = "depth",
        *,
        by: Literal["draw", "step"] = "draw",
        every: int | None = 1,
        **options: Any,
    ) -> Iterator[Prediction]:
        """A prediction after every round of draws, or after every denoising step; the last is what a call returns.

        Args:
            image: as of a call, like `task` and `options`.
            task: name of the task.
            by: "draw" or "step".
            every: draws in a round; None = all in one.
            **options: fields of `Request`.
        """
        began = time.perf_counter()
        request = Request(**options)
        check(by in ("draw", "step"), "by", repr(by), "'draw' or 'step'")
        check(every is None or every >= 1, "every", every, "1 or more")
        check(by == "draw" or request.until is None, "until", "by step", "stopping between draws")
        batch = batch_of(
            self.chain.task(task), image, {"second": request.second, "mask": request.mask}
        )
        height, width = batch.image.shape[-2:]
        plan = self._plan(task, request, (height, width), len(batch.image))
        check(
            not request.output_uncertainty or plan.effort.members > 1 or request.limit is not None,
            "output_uncertainty",
            True,
            "ensemble_size of 2 or more",
        )
        arguments = (task, resized(batch, *plan.size), plan.effort)
        keywords: dict[str, Any] = {"seed": request.key(), "chunk": plan.chunk}
        if by == "step":
            answers = self.unfold(*arguments, **keywords)
        else:
            size = (height, width) if request.match_input_resolution else plan.size
            pixel = self.chain.task(task).uncertainty_scale(plan.size, size)
            keywords["until"] = request.rule and request.rule.scaled(1 / pixel)
            keywords["deadline"] = None if plan.seconds is None else began + plan.seconds
            keywords["every"] = every or plan.every
            answers = self.refine(*arguments, **keywords)
        for answer in answers:
            yield presented(
                answer,
                self.chain.task(task),
                plan.effort,
                size=(height, width) if request.match_input_resolution else plan.size,
                output_type=request.output_type,
                uncertainty=request.output_uncertainty and plan.effort.members > 1,
                seconds=time.perf_counter() - began,
                choice=plan.words,
            )

    def _plan(self, task: str, request: Request, native: Size, pictures: int) -> Plan:
        """Effort, size and chunk of a request: as it says, or as its budget buys."""
        config, chunk = self.chain.config, request.batch_size

        def sized(resolution: int | None) -> Size:
            return self.working_size(*native, resolution)

        def speed(size: Size) -> Speed:
            if (size, chunk) not in self._speeds:
                self._speeds[size, chunk] = probe(self.chain, size, chunk)
            return self._speeds[size, chunk]

        if request.limit is None:
            effort, size = request.effort(config), sized(request.processing_resolution)
            chunk = chunk_within(self.chain, size, effort.steps, chunk)
            return Plan(effort=effort, size=size, chunk=chunk)
        prices = Prices(
            chain=self.chain,
            task=task,
            pictures=pictures,
            sized=sized,
            resolution=request.processing_resolution,
            speed=speed,
        )
        return plan(prices, self.frontier, request.limit, chunk)

    def working_size(self, height: int, width: int, resolution: int | None = None) -> Size:
        """Size at which the network works: longest edge `resolution`, sides multiples of what the chain needs."""
        resolution = self.chain.config.resolution if resolution is None else resolution
        multiple = self.chain.multiple
        if resolution != 0 and resolution < multiple:
            raise InputError(
                "processing_resolution", resolution, f"0 (native) or {multiple} or more"
            )
        scale = resolution / max(height, width) if resolution else 1.0
        rows, columns = (max(1, round(side * scale / multiple)) for side in (height, width))
        return rows * multiple, columns * multiple
