"""Checkpoints of a sharded run are read by any number of processes, bit for bit."""

import json
import socket

import pytest

RESHARD = """
import json, os, sys
from dataclasses import replace
from pathlib import Path
import torch
from torch.distributed.tensor import DTensor  # imported once, before the forks
import torch.distributed.fsdp
from lookharder.chain import Chain
from lookharder.recipes.embedded import pixel_chain
from lookharder.seeding import torch_generator
from lookharder.training import checkpoint
from lookharder.training.config import TrainConfig
from lookharder.training.loop import start
from lookharder.training.optim import OptimConfig, build_optimizer
from lookharder.training.distributed.parallel import distributed
from lookharder.training.distributed.ranks import Ranks
from lookharder.training.distributed.runtime import RuntimeConfig

torch.set_num_threads(1)
folder, layouts, port = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
build_optimizer(torch.nn.Linear(1, 1), OptimConfig())
CHAIN = pixel_chain(width=12, depth=1, heads=1, resolution=16)
CHAIN = replace(CHAIN, model=replace(CHAIN.model, num_classes=15))  # 21 labels: uneven parts
TRAIN = TrainConfig(iterations=9, batch_size=4, mix={"depth": 1.0})

def live(turn, shard):
    with distributed(RuntimeConfig(shard=shard), "cpu") as team:
        ranks = Ranks.join()
        chain = Chain.build(CHAIN, torch_generator(turn))
        state = start(chain, TRAIN, team)
        parts = chain.network, state.ema, state.optimizer
        whole = {n: v.clone() for n, v in team.gather(checkpoint.pack(*parts)).items()}
        shapes = checkpoint.pack(*parts)
        generator = torch_generator("state")
        want = {name: torch.randn(like.shape, generator=generator) for name, like in shapes.items()}
        if turn == 0:
            checkpoint.unpack(want, *parts)
        else:
            found = checkpoint.load_latest(folder, ranks)
            assert found.iteration == turn - 1 and found.skipped == []
            checkpoint.unpack(found.tensors, *parts)
        present = team.gather(checkpoint.pack(*parts))
        if team.main:
            assert any(not torch.equal(whole[name], want[name]) for name in want)
            assert all(torch.equal(present[name], want[name]) for name in want)
            assert shard == 1 or all(isinstance(v, DTensor) for n, v in shapes.items() if "step" not in n)
            assert any(len(v) % 2 for v in shapes.values() if v.ndim)
        writers = ranks if shard > 1 else Ranks()
        if shard > 1 or team.main:
            mine = checkpoint.owned(checkpoint.pack(*parts), team.rank)
            checkpoint.save(folder, turn, mine, {"turn": turn}, 9, writers)
        try:
            ranks.first(lambda: 1 / 0)
        except ZeroDivisionError:
            return
        raise AssertionError("a failure of rank 0 is one of all")

for turn, (size, shard) in enumerate(layouts):
    children = []
    for rank in range(size):
        if not (pid := os.fork()):
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port + turn)}
            code = 1
            try:
                live(turn, shard)
                code = 0
            except BaseException:
                import traceback
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    assert codes == [0] * size, (turn, codes)
"""


@pytest.mark.parametrize(
    "layouts",
    [
        pytest.param([(2, 2), (1, 1), (2, 1), (2, 2)], id="2-1-2"),
        pytest.param(
            [(4, 4), (2, 2), (1, 1), (2, 2), (4, 2), (4, 4)], id="4-2-1-2-4", marks=pytest.mark.slow
        ),
    ],
)
def test_state_survives_any_change_of_layout(layouts, tmp_path, fork):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = fork(RESHARD, tmp_path, json.dumps(layouts), port)
    assert done.wait() == 0, done.said()
    for turn, (size, shard) in enumerate(layouts):
        files = sorted(path.name for path in (tmp_path / f"{turn:08d}").glob("state*"))
        one = ["state.safetensors"]
        sharded = [f"state-{rank:04d}-of-{size:04d}.safetensors" for rank in range(shard)]
        assert files == (sharded if shard > 1 else one)
