"""An iteration of training has all its tensors on the device, and how often it waits is counted."""

from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from tests.device.grouped import GroupedProducts
from torch.distributed import device_mesh

from lookharder.chain import Chain
from lookharder.data.source import DataConfig, open_data
from lookharder.models.moe import MoE, MoEConfig
from lookharder.seeding import torch_generator
from lookharder.training.config import TrainConfig
from lookharder.training.distributed.parallel import Team, distributed
from lookharder.training.distributed.runtime import RuntimeConfig
from lookharder.training.loop import averaged, start, train
from lookharder.training.optim import OptimConfig


@pytest.fixture
def mesh(tmp_path):
    """That of a process which is a group by itself; its sums are those of the host's gloo."""
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield device_mesh.init_device_mesh("cpu", (1, 1), mesh_dim_names=("copies", "shard"))
    dist.destroy_process_group()


def trained(folder, place, optimizer, precision, mesh=None):
    """The losses of three iterations, and the averaged weights after them."""
    chain = Chain.load(folder).to(torch.device(place))
    optim = OptimConfig(optimizer=optimizer, lr=1e-3, weight_decay=0.1)
    mix = {"depth": 1.0, "flow": 1.0, "amodal": 1.0}
    config = TrainConfig(mix=mix, iterations=3, batch_size=6, optim=optim)
    runtime = RuntimeConfig(precision=precision, accumulate=2)
    state = start(chain, config, Team(config=runtime, device=torch.device(place), mesh=mesh))
    scenes = open_data(DataConfig(spec="procedural:4", size=32))
    steps = list(train(config, state, chain, dict.fromkeys(mix, scenes)))
    return [step.loss for step in steps], averaged(chain, state)


WAITS = {
    "lookharder.tasks.depth.to_image: to the host": 6,
    "lookharder.training.loop.update: to the host": 3,
}


@pytest.mark.parametrize(("optimizer", "precision"), [("adamw", "bfloat16"), ("muon", "float32")])
def test_an_iteration_waits_three_times(learner, random_model, optimizer, precision):
    _, model = trained(random_model, "cuda", optimizer, precision)
    assert dict(learner.waits) == WAITS
    assert {p.device.type for p in model.network.parameters()} == {"cuda"}


def test_a_group_of_one_waits_no_more_and_learns_the_same(mesh, learner, random_model):
    """Gradients pass through the group's buckets, which are on the device."""
    losses, model = trained(random_model, "cuda", "muon", "bfloat16", mesh)
    assert dict(learner.waits) == WAITS
    assert {p.device.type for p in model.network.parameters()} == {"cuda"}
    alone, _ = trained(random_model, "cuda", "muon", "bfloat16")
    assert losses == alone


def test_ranks_with_gpus_join_as_nccl_wants_them(monkeypatch):
    """Each takes its own GPU before there is a group, and the group is told which."""
    done = []
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: done.append(str(device)))
    monkeypatch.setattr(
        dist, "init_process_group", lambda *args, **asked: done.append((args, asked))
    )
    monkeypatch.setattr(device_mesh, "init_device_mesh", lambda kind, *_, **__: done.append(kind))
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: done.append("left"))
    with distributed(RuntimeConfig(), "cuda") as team:
        assert (team.rank, team.size, team.device) == (1, 2, torch.device("cuda", 1))
    asked = {"timeout": timedelta(minutes=30), "device_id": torch.device("cuda", 1)}
    assert done == ["cuda:1", (("nccl",), asked), "cuda", "left"]


@pytest.mark.skipif(not hasattr(F, "grouped_mm"), reason="this torch has no grouped product")
@pytest.mark.parametrize("expert", ["swiglu", "gelu"])
@pytest.mark.parametrize(("width", "products"), [(24, 6), (20, 0)])
def test_grouped_products_keep_the_rules_of_the_device(expert, width, products):
    """Two layers, there and twice back; rows of 40 bytes are none of 16, and go expert by expert."""
    moe = MoE(width, 2 * width, MoEConfig(experts=4, active=2, expert=expert))
    generator = torch_generator(0)
    with torch.no_grad():
        for parameter in moe.parameters():
            parameter.normal_(generator=generator)
    tokens = torch.randn(2, 30, width, generator=generator, requires_grad=True)
    with GroupedProducts() as seen:
        with torch.autocast("cpu", torch.bfloat16):
            out, _ = moe(tokens)
        out.float().square().sum().backward()
    assert seen.types == [torch.bfloat16] * products
