"""The commands of the tour are run, on miniatures of what they name."""

import re
import shlex
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import lookharder
from lookharder.chain import Chain
from lookharder.cli import main
from lookharder.data.formats import read_npy
from lookharder.models.dit import DiT, DiTConfig
from lookharder.models.foreign.networks import export_state
from lookharder.seeding import torch_generator

TOUR = Path(__file__).parents[1] / "docs" / "tour.md"
SMALLER = {  # what makes a line of the tour take seconds
    r"train\.iterations=\d+": "train.iterations=2",
    r"^train (.*)": r"train \1 --set train.batch_size=4 --set checkpoint_every=2 --quiet"
    + "".join(
        f" --set data.{task}.spec=procedural:4 --set data.{task}.size=32 --set data.{task}.store=null"
        for task in ("depth", "flow", "amodal")
    ),
    r"^convert (\S+)": r"convert \1 --heads 4",  # of the miniature, which has no published size
    r"procedural:8": "procedural:2",
    r"--steps 4": "--steps 2",
}


def commands() -> list[str]:
    section = TOUR.read_text().split("## From a dense checkpoint")[1]
    block = re.search(r"```\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [line.removeprefix("lookharder ") for line in block[1].splitlines()]


def miniatures(folder: Path, vae: Path) -> None:
    (folder / "sd-vae-ft-ema").symlink_to(vae)
    config = DiTConfig(
        input_size=4,
        patch_size=2,
        in_channels=4,
        hidden_size=16,
        depth=2,
        num_heads=4,
        num_classes=20,
        learn_sigma=True,
    )
    network, generator = DiT(config), torch_generator("tour")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    torch.save({"ema": export_state(network)}, folder / "DiT-XL-2-256x256.pt")
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(noise).save(folder / "photo.jpg")


def test_the_road_from_a_dense_checkpoint_to_an_upcycled_generalist(
    tmp_path, monkeypatch, random_vae
):
    lines = commands()
    assert [line.split()[0] for line in lines[:4]] == ["convert", "inspect", "train", "upcycle"]
    miniatures(tmp_path, random_vae)
    monkeypatch.chdir(tmp_path)
    for line in lines:
        small = line
        for pattern, shorter in SMALLER.items():
            small = re.sub(pattern, shorter, small)
        assert main(shlex.split(small)) == 0, line

    dense, mixed = Chain.load(Path("runs/dense/model")), Chain.load(Path("runs/experts/model"))
    assert dense.config.model.moe is None and mixed.config.model.moe is not None
    assert mixed.config.model.embeddings == 4 and mixed.config.model.label_rows == 24
    assert Path("routing/routing.png").stat().st_size > 0
    assert np.isfinite(read_npy(Path("out/photo.depth.npy"))).all()


def test_the_tree_of_the_tour_is_the_tree():
    """Every room and module of the first two levels is named, in its room, and none that is not there."""
    tree = re.search(r"```\nsrc/lookharder/\n(.*?)```", TOUR.read_text(), re.DOTALL)
    assert tree is not None
    told, room = set(), Path()
    for line in tree[1].splitlines():
        names = re.match(r"( +)((?:[\w.]+(?:\.py|/)(?: |$))+)", line)
        assert names is not None, line
        inside = names[2].split()
        room = room if len(names[1]) == 4 else Path()
        told |= {str(room / name.rstrip("/")) for name in inside}
        if len(names[1]) == 2 and inside[0].endswith("/"):
            room = Path(inside[0])
    package = Path(lookharder.__file__).parent
    found = {
        str(path.relative_to(package))
        for path in [*package.glob("*"), *package.glob("*/*")]
        if path.suffix == ".py" or (path / "__init__.py").exists()
        if not path.name.startswith("__") and path.parent.name != "cli"
    }
    assert told == found
