"""From a generator of pictures to the start of a perception model, by copying weights.

Generation has a patch embedding of its own, so in a network trained on it alone those of the tasks are as random as
on the first day. Here they take over what it has learnt of pictures, as the paper widens the first layer of its
pre-trained network (2411.08034, section 4): divided by the number of latents that now enter side by side,

    embed_task(a, b, x) = (W (s a) + W (s b) + W x) / 3 + bias          W: generation's, of the noisy latent
                                                                        s: `input_scale`: x comes scaled by it

so tokens are those of generation where all three are the same picture. Each task's label starts as the mean class.
"""

from pathlib import Path

import torch

from lookharder.chain import Chain, ChainConfig
from lookharder.seeding import torch_generator
from lookharder.tasks.base import SOURCES


def adapted(generator: Chain, config: ChainConfig, folder: Path) -> Path:
    """Write the model folder of a perception model that starts from a generator; its path.

    Args:
        generator: what was pre-trained.
        config: the system that will be trained, with a network of the generator's shape; its schedule, prediction and
            resolution may be others, for neither they nor the positions are learnt.
        folder: where.
    """
    chain = Chain.build(config, torch_generator("unused"))
    chain.network.load_state_dict(generator.network.state_dict())
    adapt(chain)
    chain.save(folder, f"# {folder.name}\n\nA generator of pictures, ready to be fine-tuned.\n")
    return folder


@torch.no_grad()
def adapt(chain: Chain) -> None:
    """Start the tasks of a chain from its generation, in place."""
    config, embedder = chain.config.model, chain.network.x_embedder
    weight = embedder.proj.weight.unflatten(0, (config.embeddings, -1))  # (K, D, C, p, p)
    assert embedder.proj.bias is not None
    bias = embedder.proj.bias.unflatten(0, (config.embeddings, -1))  # (K, D)
    noisy = weight[0, :, -config.predicted :] / (SOURCES + 1)  # (D, c, p, p)
    source = noisy * chain.config.input_scale
    weight[1:] = torch.cat([source] * SOURCES + [noisy], dim=1)
    bias[1:] = bias[0]
    labels = chain.network.y_embedder.embedding_table.weight  # (rows, D)
    classes = config.num_classes
    labels[classes : config.null_label] = labels[:classes].mean(0)
