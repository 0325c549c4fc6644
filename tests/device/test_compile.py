"""torch.compile makes one graph of a block, all of it on the device, and a second one for batches of any size.

Tensors have no values here, and a build of torch for GPUs is needed, which alone knows where such tensors are. The way
back is not traced: there autograd asks the driver for a context, and so needs a GPU.
"""

import pytest
import torch

# in a process of its own: what checks types cannot be traced
CODE = """
from functools import partial

import torch
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd
from torch._subclasses.fake_tensor import FakeTensorMode

from lookharder.models.compile import compile_block
from lookharder.models.dit import DiT, DiTConfig

graphs = []

def keep(graph, inputs):
    graphs.append(graph)
    return make_boxed_func(graph.forward)

torch.compile = partial(torch.compile, backend=aot_autograd(fw_compiler=keep))
config = DiTConfig(
    input_size=8, patch_size=2, in_channels=12, hidden_size=32, depth=1, num_heads=2, num_classes=9, learn_sigma=False
)
with FakeTensorMode(), torch.no_grad():
    with torch.device("cuda"):
        network = DiT(config)
    forward = compile_block(network.blocks[0])
    for batch in (2, 3, 4, 5):
        out, _ = forward(*(torch.empty(batch, *shape, device="cuda") for shape in ((16, 32), (32,))))
        assert out.shape == (batch, 16, 32)
assert len(graphs) == 2, len(graphs)
for graph in graphs:
    made = [node.meta["val"] for node in graph.graph.nodes if "val" in node.meta]
    devices = {value.device for value in made if isinstance(value, torch.Tensor)}
    assert devices == {torch.device("cuda", 0)}, devices
"""


@pytest.mark.skipif(
    not torch.backends.cuda.is_built(), reason="needs a build of torch for GPUs, and no GPU"
)
def test_a_block_is_one_graph_on_the_device(fork):
    traced = fork(CODE)
    traced.process.join()
    assert traced.process.exitcode == 0, traced.log.read_text()
