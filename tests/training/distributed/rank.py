"""One rank of the runs that `test_parallel.py` starts: it trains each case, and rank 0 leaves what it saw.

RANK=0 WORLD_SIZE=2 ... python rank.py OUT CASE...        each CASE a JSON object
"""

import json
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file

from lookharder.chain import Chain
from lookharder.config import override
from lookharder.data.example import Example
from lookharder.models.moe import MoEConfig
from lookharder.recipes import smoke
from lookharder.seeding import numpy_generator, torch_generator
from lookharder.training import checkpoint
from lookharder.training.distributed.parallel import Team, distributed
from lookharder.training.distributed.runtime import RuntimeConfig
from lookharder.training.loop import averaged, start, train

MIX = '{"generation": 0.25, "depth": 0.5, "flow": 0.25}'
CONFIG = override(
    smoke(),
    [
        "chain.model.depth=2",
        "chain.model.hidden_size=32",
        "chain.model.num_heads=2",
        "train.batch_size=8",
        "train.iterations=4",
        f"train.mix={MIX}",
        "train.optim.eps=1e-6",  # Adam divides a gradient by its size: below this one it is rounding
        "train.optim.warmup=0",
        "train.optim.clip_norm=0.5",
        "train.optim.weight_decay=0.1",
    ],
)
EXPERTS = MoEConfig(experts=4, active=2, shared=1, renormalise=True, balance=0.1, z=0.01)


class Seen:
    """Sixteen random examples; it notes which are read for iterations. The depths of `bad`, if any, are no numbers."""

    def __init__(self, task: str, bad: int | None = None) -> None:
        self.task, self.bad = task, bad
        self.names: list[str] = []

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> Example:
        if threading.current_thread() is not threading.main_thread():
            self.names.append(f"{self.task}/{index}")
        generator = numpy_generator(7, index)
        image, second = generator.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
        depth = generator.uniform(1, 5, (32, 32)).astype(np.float32)
        known = np.kron(generator.random((8, 8)) < 0.8, np.ones((4, 4))) > 0  # by latent cell
        return Example(
            name=str(index),
            image=image,
            second=second,
            depth=depth * np.float32(np.nan) if index == self.bad else depth,
            depth_valid=known,
            flow=generator.normal(0, 3, (2, 32, 32)).astype(np.float32),
            flow_valid=known,
            label=index % 3,
        )


def case(settings: dict, team: Team) -> tuple[dict, dict[str, torch.Tensor]]:
    """Train one case.

    Args:
        settings: "moe", "optimizer", "bad", "excluded", "resume"; all may be absent.
        team: the ranks.

    Returns:
        What the steps said and the names that all ranks read; on rank 0 the whole state at the end.
    """
    config = override(CONFIG, [f"train.optim.optimizer={settings.get('optimizer', 'adamw')}"])
    chain_config = config.chain
    if settings.get("moe"):
        model = replace(chain_config.model, moe=EXPERTS, mlp_ratio=2.0)
        chain_config = replace(chain_config, model=model)
    chain = Chain.build(chain_config, torch_generator(0))
    with torch.no_grad():  # a fresh network's gates are shut: most of its gradients are zero
        generator = torch_generator(1)
        for parameter in chain.network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    state = start(chain, config.train, team)
    state.excluded = [tuple(span) for span in settings.get("excluded", [])]
    datasets = {task: Seen(task, settings.get("bad")) for task in config.train.mix}
    steps = []
    for step in train(config.train, state, chain, datasets):
        steps.append(asdict(step))
        if step.iteration == settings.get("resume"):
            saved = [team.gather(checkpoint.pack(chain.network, state.ema, state.optimizer))]
            if team.size > 1:
                dist.broadcast_object_list(saved)
            chain = Chain.build(chain_config, torch_generator(5))
            state = start(chain, config.train, team)
            checkpoint.unpack(saved[0], chain.network, state.ema, state.optimizer)
            state.iteration = step.iteration
            steps += [asdict(s) for s in train(config.train, state, chain, datasets)]
            break
    names = team.collect(tuple(name for seen in datasets.values() for name in seen.names))
    masters = {str(p.dtype) for p in chain.network.parameters()}
    tensors = team.gather(checkpoint.pack(chain.network, state.ema, state.optimizer))
    finished = averaged(chain, state)
    if finished is not None:
        for name, value in finished.network.state_dict().items():
            assert torch.equal(value, tensors[f"ema.{name}"])
    return {"steps": steps, "names": sorted(names), "types": sorted(masters)}, tensors


def main() -> None:
    out, cases = Path(sys.argv[1]), [json.loads(text) for text in sys.argv[2:]]
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    for number, settings in enumerate(cases):
        runtime = RuntimeConfig(**settings.get("runtime", {}))
        with distributed(runtime, "cpu") as team:
            found, tensors = case(settings, team)
            assert team.any(team.rank == team.size - 1) and not team.any(False)
        if team.main:
            (out / f"{number}.json").write_text(json.dumps(found))
            copies = {name: value.clone().contiguous() for name, value in tensors.items()}
            save_file(copies, out / f"{number}.safetensors")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
