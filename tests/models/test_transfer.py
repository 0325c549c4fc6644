"""From a generator to a network of tasks, with patches of its own or behind convolutions; what cannot be is named."""

from dataclasses import replace

import pytest
import torch

from lookharder.errors import InputError
from lookharder.models.config import DiTConfig
from lookharder.models.dit import DiT
from lookharder.models.transfer import transfer
from lookharder.seeding import torch_generator

GENERATOR = DiTConfig(
    input_size=32,
    patch_size=8,
    in_channels=3,
    hidden_size=32,
    depth=1,
    num_heads=2,
    num_classes=4,
    learn_sigma=False,
)
STEMMED = replace(GENERATOR, stem="conv", stem_widths=(8, 8))


def random(config: DiTConfig) -> DiT:
    """A network whose last layers are not zero."""
    network, generator = DiT(config), torch_generator(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.mark.parametrize("config", [GENERATOR, STEMMED])
def test_a_generator_learns_tasks_and_unlearns_others(config):
    """The tasks see equal latents as the generator sees one; what another had for conditions and tasks makes way."""
    before = random(config)
    seeing = replace(config, in_channels=9, out_channels=3, routes=(1, 2))
    after = transfer(before, seeing)
    x, t = torch.randn(2, 3, 32, 32, generator=torch_generator(0)), torch.tensor([3])
    wanted = before(x, t, torch.tensor([0]))
    torch.testing.assert_close(after(x.repeat(1, 3, 1, 1), t, torch.tensor([0])), wanted)

    other = random(seeing)
    latent = transfer(other, replace(seeing, in_channels=6, routes=(1,)))
    name = "stem.first.weight" if config.stem == "conv" else "x_embedder.proj.weight"
    rows = 8 if config.stem == "conv" else 32  # of what the task sees the input by, the last
    kept = other.state_dict()[name][:rows, -3:]
    torch.testing.assert_close(latent.state_dict()[name][-rows:], kept.repeat(1, 2, 1, 1) / 2)
    assert latent.config.routes == (1,)


def test_tasks_without_classes_make_no_other_tasks():
    seeing = replace(GENERATOR, in_channels=9, out_channels=3, num_classes=0, routes=(1, 2))
    with pytest.raises(InputError, match="num_classes = 0"):
        transfer(random(seeing), replace(seeing, routes=(1, 2, 3)))
