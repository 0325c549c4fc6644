"""One training step of DiT-S/2 (latents 32 x 32 x 4), ours against a plain PyTorch loop, in one run.

    python -m benchmarks training_step [--batch 4] [--rounds 10] [--out training_step.json]
    python -m benchmarks training_step --gpu [--batch 64] [--out training_step_gpu.json]

The plain side is what a reader of the paper (Peebles & Xie, arXiv 2212.09748) would write: a module, the loss of
Nichol & Dhariwal 2021 with tables, `clip_grad_norm_`, `torch.optim.AdamW`, and an average that goes through the
parameters one by one. Both sides start from the same weights and see the same batches; their losses are compared, to
1e-5, at every step that is timed. Turns are taken A B A B. A step is forward, backward, clipping, AdamW and average.

Then the share of time that `train` waits for data, on pictures of 256 x 256 pixels that lie in memory.

`--gpu` measures XL/2 at 256 pixels in images a second and MFU = images/s * 3 * 2 * MACs / peak of bfloat16, with the
MACs of `models.flops` (118.6 G a forward, so 712 GFLOP a training image; what activation checkpointing computes again
does not count as work):

    lookharder      cached latents, bfloat16 autocast, compiled blocks
    tf32, vae       the plain loop in TF32, each picture encoded by a VAE of Stable Diffusion's shape in every step
    bf16, again     the plain loop in bfloat16 autocast, cached latents, activation checkpointing

Without a GPU it says "not measured".
"""

import copy
import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from benchmarks.harness import machine, take_turns
from lookharder.chain import Chain, ChainConfig
from lookharder.data.source import DataConfig, open_data
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.files import write_json
from lookharder.hardware import peak_of
from lookharder.models.config import MoEConfig
from lookharder.models.dit import DiT, sized
from lookharder.models.flops import count
from lookharder.seeding import torch_generator
from lookharder.tasks.generation import Generation
from lookharder.training.batches import Items
from lookharder.training.distributed.parallel import distributed
from lookharder.training.distributed.runtime import RuntimeConfig
from lookharder.training.loop import TrainConfig, start, train, update
from lookharder.training.optim import OptimConfig

CLASSES, STEPS = 1000, 1000
UNUSED = 8  # channels of the condition, which generation leaves empty
OPTIM = OptimConfig(lr=1e-4, ema_decay=0.9999, ema_warmup=False)


class PlainBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.attn = nn.ModuleDict(
            {"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)}
        )
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)}
        )
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x, c):
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(c).chunk(6, dim=1)
        h = self.norm(x) * (1 + scale1.unsqueeze(1)) + shift1.unsqueeze(1)
        batch, length, width = h.shape
        qkv = self.attn["qkv"](h).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, width)
        x = x + gate1.unsqueeze(1) * self.attn["proj"](h)
        h = self.norm(x) * (1 + scale2.unsqueeze(1)) + shift2.unsqueeze(1)
        h = self.mlp["fc2"](F.gelu(self.mlp["fc1"](h), approximate="tanh"))
        return x + gate2.unsqueeze(1) * h


class PlainDiT(nn.Module):
    """Parameters bear DiT's names, so that ours load."""

    def __init__(self, depth: int, width: int, heads: int, again: bool = False) -> None:
        super().__init__()
        self.again = again  # activation checkpointing
        self.x_embedder = nn.ModuleDict({"proj": nn.Conv2d(4, width, 2, stride=2)})
        self.t_embedder = nn.ModuleDict(
            {"mlp": nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))}
        )
        self.y_embedder = nn.ModuleDict({"embedding_table": nn.Embedding(CLASSES + 1, width)})
        self.register_buffer("positions", self.sincos(width), persistent=False)
        self.blocks = nn.ModuleList(PlainBlock(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.final_layer = nn.ModuleDict(
            {
                "linear": nn.Linear(width, 2 * 2 * 8),
                "adaLN_modulation": nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width)),
            }
        )

    @staticmethod
    def sincos(width: int):
        omega = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width / 4))
        rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
        angles = [axis.reshape(-1, 1).double() * omega for axis in (columns, rows)]
        return torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], dim=1).float()

    def forward(self, x, t, y):
        x = self.x_embedder["proj"](x).flatten(2).transpose(1, 2) + self.positions
        frequencies = torch.exp(-math.log(10000) * torch.arange(128, device=t.device) / 128)
        angles = t[:, None].float() * frequencies
        t = self.t_embedder["mlp"](torch.cat([angles.cos(), angles.sin()], dim=1))
        c = t + self.y_embedder["embedding_table"](y)
        for block in self.blocks:
            x = checkpoint(block, x, c, use_reentrant=False) if self.again else block(x, c)
        shift, scale = self.final_layer["adaLN_modulation"](c).chunk(2, dim=1)
        x = self.norm(x) * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)
        x = self.final_layer["linear"](x).reshape(len(x), 16, 16, 2, 2, 8)
        return torch.einsum("nhwpqc->nchpwq", x).reshape(len(x), 8, 32, 32)


class PlainLoss:
    """Squared error of the noise, and the bound in bits for the variance (Nichol & Dhariwal 2021)."""

    def __init__(self, device: torch.device) -> None:
        betas = torch.linspace(1e-4, 0.02, STEPS, dtype=torch.float64)
        bar = (1 - betas).cumprod(0)
        before = torch.cat([torch.ones(1, dtype=torch.float64), bar[:-1]])
        posterior = betas * (1 - before) / (1 - bar)
        tables = {
            "alpha": bar.sqrt(),
            "sigma": (1 - bar).sqrt(),
            "mean_x0": betas * before.sqrt() / (1 - bar),
            "mean_xt": (1 - before) * (1 - betas).sqrt() / (1 - bar),
            "low": torch.cat([posterior[1:2], posterior[1:]]).log(),
            "high": betas.log(),
        }
        self.tables = {name: table.float().to(device) for name, table in tables.items()}

    def __call__(self, model, x0, t, y, noise):
        at = {name: table[t][:, None, None, None] for name, table in self.tables.items()}
        x_t = at["alpha"] * x0 + at["sigma"] * noise
        eps, raw = model(x_t, t, y).float().chunk(2, dim=1)
        mse = (eps - noise).square().mean(dim=(1, 2, 3))
        x0_hat = (x_t - at["sigma"] * eps.detach()) / at["alpha"]
        fraction = (raw + 1) / 2
        log_variance = fraction * at["high"] + (1 - fraction) * at["low"]
        true = at["mean_x0"] * x0 + at["mean_xt"] * x_t
        mean = at["mean_x0"] * x0_hat + at["mean_xt"] * x_t
        kl = log_variance - at["low"] - 1 + (at["low"] - log_variance).exp()
        kl = 0.5 * (kl + (true - mean).square() * (-log_variance).exp())
        nll = self.nll(x0, mean, 0.5 * log_variance)
        bits = torch.where((t == 0)[:, None, None, None], nll, kl) / math.log(2)
        return (mse + bits.mean(dim=(1, 2, 3))).mean()

    @staticmethod
    def nll(x, mean, log_std):
        def cdf(v):
            return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))

        above = cdf((x - mean + 1 / 255) * (-log_std).exp())
        below = cdf((x - mean - 1 / 255) * (-log_std).exp())
        inside = (above - below).clamp(min=1e-12).log()
        low, high = above.clamp(min=1e-12).log(), (1 - below).clamp(min=1e-12).log()
        return -torch.where(x < -0.999, low, torch.where(x > 0.999, high, inside))


class Codec:
    """Stands where a VAE would: pictures become means of 8 x 8 pixels. Only the wait for data is measured with it."""

    factor, channels = 8, 4

    def encode(self, images):
        means = F.avg_pool2d(images, 8)
        return torch.cat([means, means[:, :1]], dim=1)

    def decode(self, latents):
        return F.interpolate(latents[:, :3], scale_factor=8)

    def macs(self, height, width):
        return 0, 0

    def config(self):
        return {"kind": "benchmark"}


def our_chain(size: str, moe: MoEConfig | None = None) -> Chain:
    """Class-conditional generation; weights that all matter, for a fresh network's gates are shut."""
    model = sized(
        size,
        input_size=32,
        in_channels=4 + UNUSED,
        out_channels=4,
        num_classes=CLASSES,
        learn_sigma=True,
    )
    model = replace(model, moe=moe)
    config = ChainConfig(
        model=model,
        autoencoder=Codec().config(),
        tasks=(Generation(),),
        schedule=NoiseSchedule(name="linear"),
        prediction="eps",
        resolution=256,
    )
    network, generator = DiT(model), torch_generator("benchmark")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.02)
    return Chain(config, network, Codec())


def plain_network(chain: Chain, again: bool = False) -> PlainDiT:
    model = chain.config.model
    plain = PlainDiT(model.depth, model.hidden_size, model.num_heads, again)
    weights = {name: value.clone() for name, value in chain.network.state_dict().items()}
    weights["x_embedder.proj.weight"] = weights["x_embedder.proj.weight"][:, UNUSED:]
    plain.load_state_dict(weights)
    return plain.to(next(chain.network.parameters()).device)


def batch_at(number: int, batch: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    generator = torch_generator("benchmark", number)
    x0, noise = torch.randn(2, batch, 4, 32, 32, generator=generator)
    t = torch.randint(STEPS, (batch,), generator=generator)
    y = torch.randint(CLASSES, (batch,), generator=generator)
    return tuple(tensor.to(device) for tensor in (x0, t, y, noise))


def our_step(chain: Chain, batch: int, runtime: RuntimeConfig) -> Callable[..., float]:
    config = TrainConfig(iterations=10**6, batch_size=batch, mix={"generation": 1.0}, optim=OPTIM)
    with distributed(runtime, next(chain.network.parameters()).device.type) as team:
        state = start(chain, config, team)

    def step(x0, t, y, noise) -> float:
        items = Items(
            names=("",) * batch,
            x0=x0,
            known=torch.ones_like(x0[:, :1], dtype=torch.bool),
            condition=x0.new_zeros(batch, UNUSED, 32, 32),
            labels=y,
            t=t,
            noise=noise,
        )
        return update(config, state, chain, [{"generation": items}]).loss

    return step


def plain_step(
    plain: PlainDiT, bfloat16: bool = False, encode: Callable | None = None
) -> Callable[..., float]:
    average = copy.deepcopy(plain).requires_grad_(False)
    device = plain.positions.device
    loss_of = PlainLoss(device)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=OPTIM.lr, weight_decay=0)

    def step(x0, t, y, noise) -> float:
        if encode is not None:
            x0 = encode(len(x0))
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            loss = loss_of(plain, x0, t, y, noise)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), OPTIM.clip_norm)
        optimizer.step()
        with torch.no_grad():
            for mean, parameter in zip(average.parameters(), plain.parameters(), strict=True):
                mean.mul_(OPTIM.ema_decay).add_(parameter, alpha=1 - OPTIM.ema_decay)
        return loss.item()

    return step


def timed_steps(
    sides: dict[str, Callable[..., float]], batch: int, rounds: int, device: torch.device
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds and losses of each side; two rounds of warm-up are not counted."""
    losses: dict[str, list[float]] = {name: [] for name in sides}

    tensors: dict[str, tuple[torch.Tensor, ...]] = {}

    def prepare(name: str) -> None:
        tensors[name] = batch_at(len(losses[name]), batch, device)

    def side(name: str, step: Callable[..., float]) -> Callable[[], None]:
        def run() -> None:  # reads the loss, so the device has finished
            losses[name].append(step(*tensors[name]))

        return run

    turns = {name: side(name, step) for name, step in sides.items()}
    return take_turns(turns, rounds, prepare=prepare).wall, losses


def data_wait(batch: int, iterations: int = 6) -> float:
    """Share of time that `train` waits for data, after its first iteration, before which nothing could be read."""
    chain = our_chain("S")
    world = open_data(DataConfig(spec="procedural:8:1", size=256))
    for index in range(len(world)):
        world[index]
    config = TrainConfig(iterations=iterations, batch_size=batch, mix={"generation": 1.0})
    steps = list(train(config, start(chain, config), chain, {"generation": world}))[1:]
    return sum(step.data_seconds for step in steps) / sum(step.seconds for step in steps)


def on_cpu(batch: int, rounds: int) -> dict:
    chain = our_chain("S")
    plain = plain_network(chain)
    sides = {"lookharder": our_step(chain, batch, RuntimeConfig()), "plain": plain_step(plain)}
    seconds, losses = timed_steps(sides, batch, rounds, torch.device("cpu"))
    pairs = zip(losses["lookharder"], losses["plain"], strict=True)
    difference = max(abs(a - b) / b for a, b in pairs)
    assert difference < 1e-5, f"losses differ by {difference}"
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ratios = [b / a for a, b in zip(seconds["lookharder"], seconds["plain"], strict=True)]
    return {
        "what": "seconds of one training step of DiT-S/2, float32, median",
        "batch": batch,
        "rounds": rounds,
        "seconds": medians,
        "all_seconds": seconds,
        "speed_over_plain": statistics.median(ratios),
        "largest_loss_difference": difference,
        "data_wait": data_wait(batch),
        **machine(),
    }


def on_gpu(batch: int, rounds: int) -> dict:
    what = "images a second and MFU of a training step of DiT-XL/2 at 256 pixels"
    if not torch.cuda.is_available():
        return {"what": what, "result": "not measured: no GPU"}
    device, name = torch.device("cuda"), torch.cuda.get_device_name()
    peak = peak_of(name, "bfloat16")
    macs = count(
        sized("XL", input_size=32, in_channels=4, num_classes=CLASSES, learn_sigma=True), 32, 32
    ).macs

    def ours() -> Callable[..., float]:
        runtime = RuntimeConfig(precision="bfloat16", compiled=True)
        return our_step(our_chain("XL").to(device), batch, runtime)

    def tf32() -> Callable[..., float]:
        from diffusers import AutoencoderKL

        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
        ).to(device)

        @torch.no_grad()
        def encode(images: int) -> torch.Tensor:
            pictures = torch.rand(images, 3, 256, 256, device=device) * 2 - 1
            return vae.encode(pictures).latent_dist.sample() * 0.18215

        return plain_step(plain_network(our_chain("XL").to(device)), encode=encode)

    def again() -> Callable[..., float]:
        network = plain_network(our_chain("XL").to(device), again=True)
        return plain_step(network, bfloat16=True)

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    result = {}
    for side, make in (("lookharder", ours), ("tf32, vae", tf32), ("bf16, again", again)):
        seconds, _ = timed_steps({side: make()}, batch, rounds, device)  # one at a time: memory
        rate = batch / statistics.median(seconds[side])
        mfu = None if peak is None else rate * 6 * macs / peak
        result[side] = {"images_per_second": rate, "mfu": mfu, "all_seconds": seconds[side]}
        torch.cuda.empty_cache()
    return {
        "what": what,
        "convention": "FLOPs = 2 MACs, 3 forwards an image, nothing counted twice",
        "flops_per_image": 6 * macs,
        "peak_flops": peak,
        "batch": batch,
        "rounds": rounds,
        "result": result,
        "device": name,
        "torch": torch.__version__,
    }


def run(
    *,
    gpu: bool = False,
    batch: int | None = None,
    rounds: int = 10,
    out: Path = Path("training_step.json"),
) -> None:
    result = on_gpu(batch or 64, rounds) if gpu else on_cpu(batch or 4, rounds)
    write_json(out, result)
    if gpu:
        print(result["result"])
        return
    for name, median in result["seconds"].items():
        print(f"{name:12} {1e3 * median:8.1f} ms")
    print(f"{result['speed_over_plain']:.2f} x the speed of the plain loop, losses within", end=" ")
    print(f"{result['largest_loss_difference']:.0e}; {result['data_wait']:.1%} of time waits")
