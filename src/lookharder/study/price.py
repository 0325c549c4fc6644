"""What a job will cost, before it is begun: multiply-adds in closed form, and core-seconds by a measured rule.

For the nano family a second is that of one core: two workers of one core each do two in a second. The rule is for one
core of an x86 server; `python -m lookharder.study.price` measures yours against it. For the paper's recipes a second
is that of one GPU as `scaling.budgets` assumes it, and data cost nothing.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lookharder.models.config import DiTConfig
from lookharder.models.flops import count
from lookharder.models.moe import MoEConfig
from lookharder.scaling.budgets import Rates
from lookharder.study.nano import NANO, recipe
from lookharder.study.queue.jobs import Job

RATE = 18e9  # multiply-adds of one core in a second, products of matrices alone
ITERATION = 0.022  # core-seconds of an iteration of batch 32 at 32 pixels, beside those products
BLOCK = 0.011  # likewise, for each block of the network
GPU = Rates().speed / 2  # multiply-adds of a GPU in a second, for what is not of the family
EXPERT_BLOCK = 0.016  # likewise, more for each block with experts


@dataclass(frozen=True, kw_only=True)
class JobPrice:
    """What one job costs.

    Attributes:
        macs: multiply-adds.
        seconds: of one core, or of one GPU where the network is none of the family.
    """

    macs: float
    seconds: float


_PRICES: dict[str, JobPrice] = {}  # by hash, which says all that a price depends on
_NETWORKS: dict[str, DiTConfig] = {}


def price(job: Job, jobs: Mapping[str, Job]) -> JobPrice:
    """What a job costs on its own, without those that it needs.

    Args:
        job: of a known kind.
        jobs: at least those that it needs, directly or not, by hash.
    """
    if job.hash not in _PRICES:
        _PRICES[job.hash] = _price(job, jobs)
    return _PRICES[job.hash]


def network_of(job: Job, jobs: Mapping[str, Job]) -> DiTConfig:
    """The network that a job trains, changes or measures; arguments as of `price`."""
    if job.hash not in _NETWORKS:
        _NETWORKS[job.hash] = _network(job, jobs)
    return _NETWORKS[job.hash]


def _price(job: Job, jobs: Mapping[str, Job]) -> JobPrice:
    config = job.config
    if job.kind == "upcycle":
        return JobPrice(macs=0.0, seconds=1.0)
    network = network_of(job, jobs)
    if job.kind == "train":
        made = recipe(config)
        fields = sum(
            share * task.fields
            for task in made.chain.tasks
            for name, share in made.train.mix.items()
            if name == task.name
        ) / sum(made.train.mix.values())
        side = made.chain.model.input_size
        macs = 3.0 * count(network, side, side).macs * made.train.batch_size * fields
        load = made.train.batch_size / 32 * (1 + (made.chain.resolution / 32) ** 2) / 2
        block = BLOCK + (EXPERT_BLOCK if network.moe else 0)
        seconds = load * (ITERATION + block * network.depth) + macs / RATE
        iterations = made.train.iterations
        if config["recipe"] != "nano":
            return JobPrice(macs=iterations * macs, seconds=iterations * macs / GPU)
        return JobPrice(macs=iterations * macs, seconds=iterations * seconds)
    side, images = network.input_size, config["scenes"]
    calls = images * (
        config["levels"] if job.kind == "loss" else config["steps"] * config["members"]
    )
    macs = float(calls * count(network, side, side).macs)
    if "data" in config:
        return JobPrice(macs=macs, seconds=macs / GPU)
    scoring = 3 + images * (0.01 + 0.02 * (config.get("members", 1) > 1))
    return JobPrice(macs=macs, seconds=scoring + macs / RATE + calls * network.depth * 3e-5)


def _network(job: Job, jobs: Mapping[str, Job]) -> DiTConfig:
    own = job.kind == "train" and (job.config["recipe"] != "nano" or job.config["own_chain"])
    if own or not job.needs:
        return recipe(job.config).chain.model
    network = network_of(jobs[job.needs[0]], jobs)
    if job.kind == "upcycle":
        moe = MoEConfig(experts=job.config["experts"], active=job.config["active"], expert="gelu")
        return replace(network, moe=moe)
    return network


def main() -> None:
    """Core-seconds of an iteration of depth, measured and by the rule: every size, and one with experts."""
    from lookharder.chain import Chain
    from lookharder.data.source import open_data
    from lookharder.seeding import torch_generator
    from lookharder.study.nano import rate, world
    from lookharder.training.loop import start, train

    data = open_data(world(64, 1, 32))
    for size, experts in (*((size, 1) for size in NANO), ("n4", 8)):
        arguments = {"size": size, "mix": {"depth": 1.0}, "iterations": 100, "seed": 0}
        arguments |= {"lr": rate(size), "optimizer": "muon"}
        job = Job(
            kind="train", config={"recipe": "nano", "arguments": arguments, "own_chain": False}
        )
        jobs = {job.hash: job}
        if experts > 1:
            sparse = Job(
                kind="upcycle", config={"experts": experts, "active": 2}, needs=(job.hash,)
            )
            job = replace(job, needs=(sparse.hash,))
            jobs |= {sparse.hash: sparse, job.hash: job}
        made = recipe(job.config)
        config = replace(made.chain, model=network_of(job, jobs))
        chain = Chain.build(config, torch_generator(0))
        steps = train(made.train, start(chain, made.train), chain, {"depth": data})
        for _ in range(3):
            next(steps)
        began = time.process_time()
        for _ in range(10):
            next(steps)
        measured = (time.process_time() - began) / 10
        rule = price(job, jobs).seconds / 100
        print(f"{size} {experts}E  {measured:.3f} measured  {rule:.3f} by the rule")


if __name__ == "__main__":
    main()
