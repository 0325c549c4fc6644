"""From images to predictions. `Predictor.predict` is the system on one screen; the rest is sizes and choices.

    from lookharder import Predictor
    predictor = Predictor.from_pretrained("sight")
    depth = predictor(image, task="depth", ensemble_size=4).prediction      # (1, H, W, 1) in [0, 1], larger = farther
    depth = predictor(image, budget="2s")                                   # .choice says what it was spent on
    for depth in predictor.stream(image, ensemble_size=20): ...             # better with every member

What an image gets depends neither on its neighbours in a batch nor on how the work is chunked (see `sampling`).
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from lookharder.chain import FitName
from lookharder.data.example import Batch, Example
from lookharder.diffusion.schedule import ScheduleName, Spacing
from lookharder.diffusion.steps import SamplerName
from lookharder.hardware import exact_device
from lookharder.predict.closer import Closer
from lookharder.predict.effort import Budget, By, StopRule, as_asked
from lookharder.predict.inputs import ImageInput, batch_of, batch_of_examples, resize, size_of
from lookharder.predict.options import Generators, Options, OutputType, Unknown, refuse_unknown
from lookharder.predict.planning import rounds_of
from lookharder.predict.pretrained import Pretrained
from lookharder.predict.result import Prediction, present
from lookharder.predict.rounds import without_gradients
from lookharder.predict.sampling import BatchSampler, noise_keys, seeds_of

__all__ = ["Options", "Prediction", "Predictor"]


class Predictor(Pretrained):
    """A trained system, on a device: called with an image, it answers."""

    @without_gradients
    def predict(
        self,
        task_name: str,
        batch: Batch,
        options: Options,
        *,
        began: float | None = None,
        noise_key: int | None = None,
    ) -> Iterator[Prediction]:
        """The chain: images -> condition -> latents -> images -> members -> an answer, in one round or in several.

        Args:
            task_name: a task of the model.
            batch: images (B, 3, H, W) of any size, with what the task needs beside them.
            options: what is asked.
            began: when the call began, as `time.perf_counter` counts; None = now.
            noise_key: in the place of each image's own, so that the frames of a clip share their noise.

        Yields:
            A prediction after each round, denoising step or level; the last is the best.
        """
        began = time.perf_counter() if began is None else began
        task, count = self.chain.task(task_name).merged_by(options.merge), len(batch.image)
        plan = self.planner.plan(task_name, options, count, size_of(batch))
        cost = self.planner.cost(task_name, plan.effort, plan.size, plan.native)
        given = plan.native if options.match_input_resolution else plan.sizes[-1]
        one = task.uncertainty_scale(plan.sizes[-1], given)
        rounds = rounds_of(plan, options, count, unit=one, began=began)
        whole = resize(batch, *plan.size).to(self.device)
        condition = self.chain.condition(task, whole, plan.codec_chunk)  # (B, S c, h, w), shared
        noise = noise_keys(whole.image, options.seed, noise_key)
        sampler = BatchSampler(
            self.chain, task, whole, condition, plan.effort, noise=noise, **plan.chunks
        )
        rest = None if options.until is None else options.until.change
        closer = Closer(sampler, batch, plan.sizes, None if rest is None else rest / one)
        for members in rounds:
            for latents in sampler.sample(members, rounds.active, options.by):  # (n, A, F, c, h, w)
                painted = task.keep_given(
                    sampler.decode(latents, members), whole.select(rounds.active)
                )
                del latents  # merging may be where memory is short
                for images in closer.look(painted, members, rounds.active, options.by):
                    draws = rounds.add(task.from_image(images))  # (N, A, ...) depth, flow or mask
                    draws = draws.to(exact_device(draws.device))
                    merged, uncertainty = task.merge(draws)  # (A, ...), (A, H, W)
                    rounds.update(merged, uncertainty, painting=task.to_colours(images[0]))
                    member = cost.so_far(rounds.updates, options.by)
                    macs = count * cost.condition + sum(rounds.counts) * member
                    macs -= closer.left_out * cost.look
                    seconds = time.perf_counter() - began
                    yield present(rounds, task, plan, options, batch, seconds=seconds, macs=macs)

    def __call__(
        self,
        image: ImageInput | Sequence[ImageInput],
        task: str = "depth",
        *,
        second: ImageInput | Sequence[ImageInput] | None = None,
        mask: ImageInput | Sequence[ImageInput] | None = None,
        num_inference_steps: int | None = None,
        ensemble_size: int | None = None,
        processing_resolution: int | None = None,
        fit: FitName | None = None,
        match_input_resolution: bool = True,
        batch_size: int = 64,
        generator: Generators | None = None,
        seed: int = 0,
        output_type: OutputType = "np",
        output_uncertainty: bool = False,
        sampler: SamplerName | None = None,
        spacing: Spacing | None = None,
        noise_schedule: ScheduleName | None = None,
        merge: str | None = None,
        antithetic: bool = False,
        mirror: bool = False,
        cache: int = 1,
        levels: int | None = None,
        budget: str | Budget | None = None,
        until: str | StopRule | None = None,
        **unknown: Unknown,
    ) -> Prediction:
        """Predict for one image or several of one size; arguments follow diffusers' Marigold pipelines.

        Args:
            image: path, PIL image, array or tensor (`data.formats.to_picture` says which), a list or a stack of them.
            task: "depth", "flow" or "amodal".
            second: the next frame, for flow; an image or a list of them, as `image`.
            mask: visible mask of the object that is meant, for amodal: path, PIL image or (H, W) of bool or 0 and 255.
            num_inference_steps: denoising steps; None = the model's default.
            ensemble_size: members; None = the model's default, or with `until` 20 at the most.
            processing_resolution: longest edge at which the network works; None = the model's, and more for what is
                longer than its task's `widest`; 0 = the image's own.
            fit: how a picture is brought to that: "inside", "square"; None = as the model was trained.
            match_input_resolution: give the prediction at the image's size.
            batch_size: network inputs at a time, at the most; fewer where memory is short.
            generator: source of the seed, drawn anew at each call, or a list of one for each image; overrides `seed`.
            seed: key of the noise.
            output_type: "np" (channels last) or "pt" (channels second).
            output_uncertainty: also give the uncertainty; needs two members or more.
            sampler: "ddim", "ddpm", "dpmpp-2m", "euler" or "heun"; None = "ddim".
            spacing: how the steps are spread, "trailing", "leading", "leading+1", "linspace"; None = the model's.
            noise_schedule: spread them as on another schedule; None = the model's own.
            merge: how members are merged: "gram", "marigold", "median", "mean"; None = as the task does.
            antithetic: sample members in pairs of opposite noise.
            mirror: every second member sees the mirror image; two members, where `ensemble_size` does not say more.
            cache: run all blocks of the network in every so many steps only: sooner, and a little different.
            levels: looks: one at the whole, each further one at twice the size, in windows; None = the model's default.
            budget: what one image may cost, "2s", "5 GMACs", "500 MB": it picks steps, members, levels, sampler.
            until: stop sampling for an image when its answer is this certain, "0.01" or "gain:0.001"; leave windows of
                flow out that have come to rest, "change:1" (see `StopRule`).
            **unknown: refused, with the nearest name that is known; as whatever cannot be used, by an InputError.
        """
        rule = as_asked(StopRule, until, "until")
        *_, last = self.stream(
            image,
            task,
            every=None if rule is None or not rule.of_members else 2,
            second=second,
            mask=mask,
            num_inference_steps=num_inference_steps,
            ensemble_size=ensemble_size,
            processing_resolution=processing_resolution,
            fit=fit,
            match_input_resolution=match_input_resolution,
            batch_size=batch_size,
            generator=generator,
            seed=seed,
            output_type=output_type,
            output_uncertainty=output_uncertainty,
            sampler=sampler,
            spacing=spacing,
            noise_schedule=noise_schedule,
            merge=merge,
            antithetic=antithetic,
            mirror=mirror,
            cache=cache,
            levels=levels,
            budget=budget,
            until=rule,
            **unknown,
        )
        return last

    def predict_examples(
        self, examples: Sequence[Example], task: str, **options: Any
    ) -> Prediction:
        """Predict examples of one size, with all that the task needs; `options` are fields of `Options`."""
        refuse_unknown(options, Options)
        batch = batch_of_examples(self.chain.task(task), examples)
        *_, last = self.predict(task, batch, Options(**options))
        return last

    def stream(
        self,
        image: ImageInput | Sequence[ImageInput],
        task: str = "depth",
        *,
        by: By = "member",
        every: int | None = 1,
        second: ImageInput | Sequence[ImageInput] | None = None,
        mask: ImageInput | Sequence[ImageInput] | None = None,
        num_inference_steps: int | None = None,
        ensemble_size: int | None = None,
        processing_resolution: int | None = None,
        fit: FitName | None = None,
        match_input_resolution: bool = True,
        batch_size: int = 64,
        generator: Generators | None = None,
        seed: int = 0,
        output_type: OutputType = "np",
        output_uncertainty: bool = False,
        sampler: SamplerName | None = None,
        spacing: Spacing | None = None,
        noise_schedule: ScheduleName | None = None,
        merge: str | None = None,
        antithetic: bool = False,
        mirror: bool = False,
        cache: int = 1,
        levels: int | None = None,
        budget: str | Budget | None = None,
        until: str | StopRule | None = None,
        **unknown: Unknown,
    ) -> Iterator[Prediction]:
        """A prediction after every round of members, denoising step or level; the last is what a call returns.

        Arguments and errors are those of a call; `by` ("member", "step" or "level"), and `every`: members in a round,
        None for all in one.
        """
        began = time.perf_counter()
        refuse_unknown(unknown, self.stream)
        options = Options(
            num_inference_steps=num_inference_steps,
            ensemble_size=ensemble_size,
            processing_resolution=processing_resolution,
            fit=fit,
            match_input_resolution=match_input_resolution,
            batch_size=batch_size,
            seed=seeds_of(generator, seed),
            output_type=output_type,
            output_uncertainty=output_uncertainty,
            sampler=sampler,
            spacing=spacing,
            noise_schedule=noise_schedule,
            merge=merge,
            antithetic=antithetic,
            mirror=mirror,
            cache=cache,
            levels=levels,
            budget=as_asked(Budget, budget, "budget"),
            until=as_asked(StopRule, until, "until"),
            by=by,
            every=every,
        )
        batch = batch_of(self.chain.task(task), image, {"second": second, "mask": mask})
        return self.predict(task, batch, options, began=began)
