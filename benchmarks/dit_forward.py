"""One forward of DiT-S/2 (32 x 32 x 4 latent), ours against diffusers' DiTTransformer2DModel.

    python -m benchmarks dit_forward [--batch 4] [--rounds 10] [--out dit_forward.json]

Same weights, same inputs, turns taken A B A B; outputs are compared before any time is taken. They
are compared at t = 0, the one timestep at which the two agree: diffusers spaces the sinusoids of
the timestep by 1 / 127, DiT by 1 / 128. It also embeds timestep and label anew in every block.
"""

from pathlib import Path
from typing import Literal

import diffusers
import torch
from diffusers import DiTTransformer2DModel
from torch import nn

from benchmarks.harness import machine, take_turns
from lookharder.files import write_json
from lookharder.models.dit import DiT, sized
from lookharder.models.flops import count
from lookharder.seeding import torch_generator

CONFIG = sized("S", input_size=32, in_channels=4, num_classes=1000, learn_sigma=True)


def ours(device: str) -> DiT:
    """Weights that all matter: a fresh network's gates are shut."""
    network, generator = DiT(CONFIG), torch_generator("benchmark")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.02)
    return network.to(device).eval()


def theirs(network: DiT) -> DiTTransformer2DModel:
    """The same network, as diffusers writes it."""
    other = DiTTransformer2DModel(
        num_attention_heads=CONFIG.num_heads,
        attention_head_dim=CONFIG.hidden_size // CONFIG.num_heads,
        in_channels=CONFIG.in_channels,
        out_channels=CONFIG.emitted,
        num_layers=CONFIG.depth,
        sample_size=CONFIG.input_size,
        patch_size=CONFIG.patch_size,
        num_embeds_ada_norm=CONFIG.num_classes,
        norm_eps=1e-6,
    )
    copies: list[tuple[nn.Module, nn.Module]] = [
        (other.pos_embed.proj, network.x_embedder.proj),
        (other.proj_out_1, network.final_layer.adaLN_modulation[1]),
        (other.proj_out_2, network.final_layer.linear),
    ]
    for block, source in zip(other.transformer_blocks, network.blocks, strict=True):
        embed, attention = block.norm1.emb, block.attn1
        copies += [
            (embed.timestep_embedder.linear_1, network.t_embedder.mlp[0]),
            (embed.timestep_embedder.linear_2, network.t_embedder.mlp[2]),
            (embed.class_embedder.embedding_table, network.y_embedder.embedding_table),
            (block.norm1.linear, source.adaLN_modulation[1]),
            (attention.to_out[0], source.attn.proj),
            (block.ff.net[0].proj, source.mlp.fc1),
            (block.ff.net[2], source.mlp.fc2),
        ]
        qkv = source.attn.qkv
        parts = zip(qkv.weight.chunk(3), qkv.bias.chunk(3), strict=True)
        for target, (weight, bias) in zip(
            (attention.to_q, attention.to_k, attention.to_v), parts, strict=True
        ):
            target.load_state_dict({"weight": weight, "bias": bias})
    for target, source in copies:
        target.load_state_dict(source.state_dict())
    return other.to(next(network.parameters()).device).eval()


@torch.inference_mode()
def run(
    *,
    batch: int = 4,
    rounds: int = 10,
    device: Literal["cpu", "cuda"] = "cpu",
    out: Path = Path("dit_forward.json"),
) -> None:

    network = ours(device)
    other = theirs(network)
    generator = torch_generator("benchmark", batch)
    x = torch.randn(batch, 4, 32, 32, generator=generator).to(device)
    t = torch.zeros(batch, dtype=torch.long, device=device)
    y = torch.randint(1000, (batch,), generator=generator).to(device)
    runs = {
        "lookharder": lambda: network(x, t, y),
        "diffusers": lambda: other(x, timestep=t, class_labels=y).sample,
    }
    difference = (runs["lookharder"]() - runs["diffusers"]()).abs().max().item()
    assert difference < 1e-3, f"outputs differ by {difference}"

    times = take_turns(runs, rounds, device=device)
    medians = times.medians()

    macs = batch * count(CONFIG, 32, 32).macs
    result = {
        "what": "seconds of one DiT-S/2 forward, float32, median",
        "batch": batch,
        "rounds": rounds,
        "seconds": medians,
        "quartiles": times.quartiles(),
        "speed_over_diffusers": medians["diffusers"] / medians["lookharder"],
        "gflops_per_second": 2 * macs / medians["lookharder"] / 1e9,
        "largest_output_difference": difference,
        **machine(device),
        "diffusers": diffusers.__version__,
    }
    write_json(out, result)
    for name, median in medians.items():
        print(f"{name:12} {1e3 * median:8.1f} ms")
    print(f"{result['speed_over_diffusers']:.2f} x the speed of diffusers -> {out}")
