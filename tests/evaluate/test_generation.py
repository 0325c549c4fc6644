"""Pictures of classes: guidance is that of an independent loop, files are ADM's, scores those of scipy and of loops."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy
import torch
from PIL import Image

from lookharder.chain import Chain
from lookharder.cli import main
from lookharder.data.formats import read_image, read_npz
from lookharder.diffusion.sampler import draw_noise
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.errors import InputError
from lookharder.metrics.generation import frechet_distance, precision_recall
from lookharder.recipes import pixel_chain
from lookharder.seeding import torch_generator
from lookharder.tasks.generation import Generation

RNG = np.random.default_rng(3)
SIDE = 16


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a network with random weights that generates: eps with a learned variance, as DiT."""
    config = pixel_chain(width=16, depth=1, heads=2, resolution=SIDE, factor=2)
    model = replace(config.model, in_channels=12, routes=(), learn_sigma=True, num_classes=5)
    config = replace(
        config,
        model=model,
        tasks=(Generation(),),
        schedule=NoiseSchedule(name="linear"),
        prediction="eps",
        input_scale=1.0,
    )
    chain = Chain.build(config, torch_generator(0))
    with torch.no_grad():
        for parameter in chain.network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch_generator(1)))
    folder = tmp_path_factory.mktemp("models") / "generator"
    chain.save(folder, "# Random weights\n")
    return folder


def sample(model: Path, out: Path, *more: str) -> dict[str, np.ndarray]:
    line = ["sample", str(model), "--classes", "1", "4", "--count", "2", "--steps", "3"]
    assert main([*line, "--device", "cpu", "--out", str(out), *more]) == 0
    return read_npz(out / "samples.npz")


def by_hand(chain: Chain, label: int, guidance: float) -> torch.Tensor:
    """DDIM at three times, both halves of the guidance evaluated one after the other."""
    network, schedule = chain.network, chain.config.schedule
    noise = draw_noise([(0, label, n, 0) for n in range(2)], (12, SIDE // 2, SIDE // 2))
    x, times = noise(0), [999, 666, 332]
    for t, s in zip(times, [*times[1:], -1], strict=True):
        at = torch.full((2,), t)
        with torch.no_grad():
            own, null = (network(x, at, torch.full((2,), y)) for y in (label, 5))
        eps = own[:, :12].clone()
        eps[:, :3] = null[:, :3] + guidance * (own[:, :3] - null[:, :3])
        (alpha, sigma), (alpha_s, sigma_s) = (schedule.alpha_sigma(time) for time in (t, s))
        x0 = (x - sigma * eps) / alpha
        x = alpha_s * x0 + sigma_s * eps
    return chain.autoencoder.decode(x0).clamp(-1, 1)


def test_guidance_is_in_the_one_loop_and_files_are_adms(generator: Path, tmp_path: Path):
    found = sample(generator, tmp_path / "guided", "--guidance", "4")
    assert found["arr_0"].shape == (4, SIDE, SIDE, 3) and found["arr_0"].dtype == np.uint8
    assert found["arr_1"].tolist() == [1, 1, 4, 4]
    assert read_image(tmp_path / "guided" / "grid.png").shape == (3, 2 * SIDE, 2 * SIDE)
    chain = Chain.load(generator)
    expected = torch.cat([by_hand(chain, label, 4.0) for label in (1, 4)])
    levels = np.moveaxis(((expected + 1) * 127.5).numpy(), 1, -1)
    assert np.abs(found["arr_0"] - levels).max() < 0.51
    plain = sample(generator, tmp_path / "plain")
    assert not np.array_equal(plain["arr_0"], found["arr_0"])


def test_ddpm_and_another_batch_size(generator: Path, tmp_path: Path):
    more = ["--sampler", "ddpm", "--spacing", "linspace", "--guidance", "2"]
    together = sample(generator, tmp_path / "a", *more)["arr_0"].astype(int)
    apart = sample(generator, tmp_path / "b", *more, "--batch-size", "1")["arr_0"].astype(int)
    assert np.abs(together - apart).max() <= 1
    ddim = sample(generator, tmp_path / "c", *more[2:])["arr_0"].astype(int)
    assert np.abs(together - ddim).max() > 1


def test_what_cannot_be_drawn_is_refused(generator: Path, tmp_path: Path, capsys):
    out = str(tmp_path / "out")
    for line, words in (
        (["sample", "sight", "--classes", "1"], "MODEL: got sight, which does depth, flow, amodal"),
        (["sample", str(generator), "--classes", "5"], "label 5, allowed: 0 to 4"),
        (["sample", str(generator), "--classes", "1", "--guidance", "-1"], "--guidance"),
        (["sample", str(generator), "--classes", "1", "--size", "17"], "--size: got 17"),
    ):
        assert main([*line, "--out", out]) == 2
        assert words in capsys.readouterr().err


def test_frechet_distance_is_scipys():
    a, b = RNG.normal(0, 1, (50, 6)), RNG.normal(0.3, 2, (40, 6)) @ RNG.normal(0, 1, (6, 6))
    root = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    gap = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = gap + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    with pytest.raises(InputError, match="drawn"):
        frechet_distance(a, b[:, :5])


def test_precision_and_recall_by_loops():
    real, drawn = RNG.normal(0, 1, (20, 3)), RNG.normal(0.5, 0.6, (15, 3))

    def inside(points: np.ndarray, of: np.ndarray) -> float:
        hits = 0
        for point in points:
            for centre in of:
                radius = sorted(np.linalg.norm(of - centre, axis=1))[3]
                if np.linalg.norm(point - centre) <= radius:
                    hits += 1
                    break
        return hits / len(points)

    expected = inside(drawn, real), inside(real, drawn)
    assert 0 < expected[1] < 1
    assert precision_recall(real, drawn) == pytest.approx(expected)


class Edges(torch.nn.Module):
    """A feature network of two outputs: means of colours, and what lies where."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = images.float() / 255
        return x.mean(dim=[2, 3]), torch.nn.functional.avg_pool2d(x, 8).flatten(1)


@pytest.fixture
def features(tmp_path: Path) -> Path:
    torch.jit.trace(Edges(), torch.zeros(1, 3, 16, 16, dtype=torch.uint8)).save(tmp_path / "f.pt")
    return tmp_path / "f.pt"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_generation_is_scored_by_a_network_in_a_file(
    generator: Path, features: Path, tmp_path: Path, capsys
):
    for number in range(8):
        folder = tmp_path / "set" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    drawn = sample(generator, tmp_path / "out")["arr_0"]
    line = ["evaluate", "--task", "generation", "--data", f"imagenet:{tmp_path}/set?side=16"]
    line += ["--out", str(tmp_path / "s.json")]
    asked = ["--features", str(features), "--samples", str(tmp_path / "out/samples.npz")]
    assert main([*line, *asked, "--model", str(generator)]) == 0
    found = json.loads((tmp_path / "s.json").read_text())
    paths = sorted((tmp_path / "set").rglob("*.png"))
    real = np.stack([np.asarray(Image.open(path)) for path in paths])
    a, b = (each.astype(np.float64).mean((1, 2)) / 255 for each in (real, drawn))
    assert found["metrics"]["fid"] == pytest.approx(frechet_distance(a, b), rel=1e-3)
    precision, recall = precision_recall(a, b)
    assert (found["metrics"]["precision"], found["metrics"]["recall"]) == (precision, recall)
    assert {"sfid", "fid"} <= found["metrics"].keys() and (found["real"], found["drawn"]) == (8, 4)
    loss = found["loss"]
    assert 0 < loss["low"] <= loss["mean"] <= loss["high"]
    assert "loss" in capsys.readouterr().out
    for more, words in (
        ([], "--model: got nothing"),
        (asked[:2], "--samples: got nothing"),
        (["--model", str(generator), "--members", "2"], "--members"),
        (["--features", str(tmp_path / "s.json"), *asked[2:]], "TorchScript"),
    ):
        assert main([*line, *more]) == 2
        assert words in capsys.readouterr().err
