"""What the studies train: the nano family on the embedded world, or the paper's recipes on its own data.

Data of the paper are expected under `data/` (see `docs/training.md`), and DiT's published weights where the recipes
expect them. Its studies without a recipe of their own, `spacing` and `trade`, measure the models of Figure 3.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from lookharder.errors import InputError
from lookharder.study.grid import Bench, ExpertCounts, Place
from lookharder.study.nano import rate
from lookharder.study.price import price
from lookharder.study.queue.jobs import Job

PERCEPTION = ("depth", "flow", "amodal")
VALIDATION = {  # of the paper: task -> (data, images, side)
    "generation": ("imagenet:data/imagenet/val", 50_000, 256),
    "depth": ("hypersim:data/hypersim/val", 7_370, 256),
    "flow": ("flying_chairs:data/flying_chairs", 640, 512),
    "amodal": ("coco_amodal:data/coco_amodal", 13_000, 256),
}


class NanoBench(Bench):
    """Trainings of the nano family; iterations are of batches of 32."""

    def pretrained(self, size: str, seed: int, iterations: int | None = None, **others: Any) -> Job:
        """Class-conditional, from fresh weights; noise levels are uniform, as the paper's."""
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
        image: most of the training is at high noise.
        """
        mix = {"depth": 1.0} if mix is None else mix
        count = self.preset.finetune if iterations is None else iterations
        title = f"fine-tune {size} for {'+'.join(mix)}"
        title += "".join(f", {axis} {value}" for axis, value in others.items())
        others = {"time_shift": 20.0, **others}
        return self._train(
            title, size, seed, mix, count, start=start, own_chain=own_chain, **others
        )

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
        """Pre-training and fine-tuning as the preset has them, or different in one thing."""
        both: dict[str, Any] = {}
        if prediction not in (
            None,
            "x0",
        ):  # a default is not named: names of runs are made of what is given
            both = {"prediction": prediction, "zero_terminal_snr": False}
        last = both if schedule in (None, "scaled-linear") else {**both, "schedule": schedule}
        start = None if pretrain == 0 else self.pretrained(size, seed, pretrain, **both)
        return self.finetuned(size, seed, start, iterations=finetune, **last)

    def trained_by_noise(self, size: str, seed: int, time_shift: float, prediction: str) -> Job:
        """What is predicted is named where it is not x0, as in `depth`; the generator predicts x0 for all."""
        others: dict[str, Any] = {} if prediction == "x0" else {"prediction": prediction}
        start = self.pretrained(size, seed)
        return self.finetuned(size, seed, start, time_shift=time_shift, **others)

    def upcycled(self, start: Job, experts: int, active: int, seed: int) -> Job:
        """Add the conversion of a network into one with experts that computes the same."""
        config = {"experts": experts, "active": active, "seed": seed}
        return self.add("upcycle", config, (start,), f"to {experts}E{active}A: {start.title}")

    def trained_on(self, model: Job, size: str, seed: int, experts: ExpertCounts) -> Job:
        """Trains `preset.more` iterations."""
        start = model if experts == (1, 1) else self.upcycled(model, *experts, seed)
        return self.finetuned(size, seed, start, iterations=self.preset.more, own_chain=False)

    def at_resolutions(self) -> Iterable[tuple[Place, int, Job, int]]:
        """Fine-tunes one size from one pre-training at 32 pixels, scored at one side; the paper pre-trains at each."""
        size, sides = self.preset.small, self.preset.resolutions
        for side in sides:
            for seed in self.preset.repeats(size):
                more: dict[str, Any] = {} if side == 32 else {"resolution": side}
                model = self.finetuned(size, seed, self.pretrained(size, seed), **more)
                yield {"size": size, "resolution": side}, seed, model, max(sides)

    def generalists(self, seed: int) -> dict[str, dict[str, Job]]:
        """A specialist for each task, one network trained as long as all three, and that one trained on."""
        preset, size = self.preset, self.preset.reference
        before, thirds = self.pretrained(size, seed), dict.fromkeys(PERCEPTION, 1.0)
        alone = {t: self.finetuned(size, seed, before, mix={t: 1.0}) for t in PERCEPTION}
        one = self.finetuned(size, seed, before, mix=thirds, iterations=3 * preset.finetune)
        more: dict[str, Any] = {"mix": thirds, "iterations": preset.more, "own_chain": False}
        dense = self.finetuned(size, seed, one, **more)
        sparse = self.finetuned(size, seed, self.upcycled(one, 8, 2, seed), **more)
        return {
            "specialist": alone,
            "generalist": dict.fromkeys(PERCEPTION, one),
            "generalist, longer": dict.fromkeys(PERCEPTION, dense),
            "generalist, 8E2A": dict.fromkeys(PERCEPTION, sparse),
        }

    def length(self, size: str, macs: float) -> int:
        """Divides by the price of one iteration."""
        once = NanoBench(self.name, self.preset)  # whose jobs are none of ours
        return round(macs / (2 * price(once.pretrained(size, 0, 1), {}).macs))

    def held_out(self, task: str, side: int | None) -> dict[str, Any]:
        """Scenes of the embedded world, of 32 pixels a side as a rule."""
        return {"scenes": self.preset.held_out, "size": 32 if side is None else side}

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
        return self.add("train", config, needs, f"{title}, {iterations} iterations, seed {seed}")


class PaperBench(Bench):
    """Trainings by the names of their recipes, each with the one seed of its recipe."""

    def named(self, name: str, start: Job | None = None) -> Job:
        """Add the training of a recipe, from the model of another."""
        config = {"recipe": name, "set": []}
        return self.add("train", config, () if start is None else (start,), name)

    def pretrained(self, size: str, seed: int, iterations: int | None = None) -> Job:
        """Train as in table 1 of the paper; with fewer iterations as in figure 4."""
        if iterations is None:
            return self.named(f"paper_table1_{size}")
        return self.named(f"paper_fig4_pretrain_{iterations // 1000}k")

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
        """Train as in figures 3, 4 and 10."""
        name = f"paper_fig3_{size}"
        if pretrain is not None:
            name = f"paper_fig4_{pretrain // 1000}k"
        if schedule is not None:
            name = f"paper_fig10_{schedule.replace('-', '_')}"
        if prediction not in (None, "eps") or finetune is not None:
            got = f"prediction {prediction}, {finetune} iterations of fine-tuning"
            raise InputError("depth", got, "eps, and those of the recipe")
        return self.named(name, self.pretrained(size, seed, pretrain))

    def trained_by_noise(self, size: str, seed: int, time_shift: float, prediction: str) -> Job:
        """Not in the paper, which trains on all noise alike: refused."""
        raise InputError("NAME", "'training-noise'", "a study of the paper, at its size")

    def trained_on(self, model: Job, size: str, seed: int, experts: ExpertCounts) -> Job:
        """Train as in figure 6."""
        return self.named(f"paper_fig6_{size}_{experts[0]}e{experts[1]}a", model)

    def at_resolutions(self) -> Iterable[tuple[Place, int, Job, int]]:
        """Train as in figure 5: a dense network and one with experts, each scored at its own side."""
        starts = {256: "paper_table2_l_8e2a", 512: "paper_fig5_pretrain_l_8e2a_512"}
        for side in self.preset.resolutions:
            dense = self.named(f"paper_fig5_xl_{side}")
            sparse = self.named(f"paper_fig5_l_8e2a_{side}", self.named(starts[side]))
            for name, model in (("XL", dense), ("L-8E2A", sparse)):
                yield {"size": name, "resolution": side}, 0, model, side

    def generalists(self, seed: int) -> dict[str, dict[str, Job]]:
        """Train as in section 6.4."""
        tables = {"depth": "table3", "flow": "table4", "amodal": "table5"}
        one = self.named("paper_generalist")
        sparse = self.named("paper_generalist_8e2a", one)
        return {
            "specialist": {task: self.named(f"paper_{at}_{task}") for task, at in tables.items()},
            "generalist": dict.fromkeys(PERCEPTION, one),
            "generalist, 8E2A": dict.fromkeys(PERCEPTION, sparse),
        }

    def length(self, size: str, macs: float) -> int:
        """Not in the paper, which splits no budget: refused."""
        raise InputError("NAME", "'allocation'", "a study of the paper, at its size")

    def held_out(self, task: str, side: int | None) -> dict[str, Any]:
        """The validation set of a task."""
        data, count, usual = VALIDATION[task]
        return {"data": data, "scenes": count, "size": usual if side is None else side}
