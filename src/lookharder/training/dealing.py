"""Can the batches of a run be divided among its ranks?"""

from collections.abc import Mapping

from lookharder.chain import Chain
from lookharder.data.example import Dataset
from lookharder.errors import InputError
from lookharder.training.batches import apportion, size_of
from lookharder.training.config import TrainConfig
from lookharder.training.distributed.parallel import Team


def check_deal(
    config: TrainConfig, chain: Chain, team: Team, datasets: Mapping[str, Dataset]
) -> None:
    """Check that every task and share has an example, and that all ranks call the network equally often, once a size.

    Raises:
        InputError: otherwise, or where a data set is of latents that are not this system's.
    """
    counts = apportion(config.mix, config.batch_size)
    if idle := sorted(name for name, share in config.mix.items() if share and name not in counts):
        allowed = (
            f"shares that are 1 of {config.batch_size} or more, 0, or a larger train.batch_size"
        )
        raise InputError("train.mix", f"no example of {idle} in a batch", allowed)
    if sum(counts.values()) < team.shares:
        allowed = (
            f"{team.size} ranks x {team.config.accumulate} micro-batches = {team.shares} or more"
        )
        raise InputError("train.batch_size", sum(counts.values()), allowed)
    sizes = {name: size_of(chain, name, datasets[name]) for name in counts}
    if team.size > 1 and min(counts.values()) < team.shares and len(set(sizes.values())) > 1:
        got = f"{min(counts.values())} examples of a task, and latents of sizes {sizes}"
        raise InputError("train.mix", got, f"{team.shares} examples or more of each, or one size")
