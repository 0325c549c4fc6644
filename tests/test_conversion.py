"""Published files in, model folders out, through the commands that people type."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from lookharder.chain import Chain, ChainConfig
from lookharder.cli import main
from lookharder.config import from_json
from lookharder.conversion import convert, released_settings
from lookharder.data.example import Batch
from lookharder.data.formats import read_npy
from lookharder.diffusion.sampler import draw_noise
from lookharder.diffusion.sampling import USABLE, Sampling
from lookharder.errors import InputError
from lookharder.files import hold_folder
from lookharder.models.dit import DiT, DiTConfig
from lookharder.models.foreign.layouts import LAYOUTS
from lookharder.models.foreign.networks import Imported, export_state, import_network, load_network
from lookharder.models.foreign.recognition import name_of
from lookharder.models.moe import MoEConfig
from lookharder.predict.effort import Effort
from lookharder.predict.sampling import BatchSampler
from lookharder.seeding import torch_generator

DENSE = DiTConfig(
    input_size=4,
    patch_size=2,
    in_channels=12,
    hidden_size=16,
    depth=2,
    num_heads=4,
    num_classes=9,
    learn_sigma=True,
)
UPCYCLED = MoEConfig(experts=3, active=2, expert="gelu")
CONFIGS = {
    "dit": DENSE,
    "dit-moe": replace(DENSE, moe=MoEConfig(experts=3, active=2, shared=2)),
    "paper": replace(
        DENSE, in_channels=36, out_channels=12, routes=(0, 1, 2, 3), moe=UPCYCLED
    ),
}  # fmt: skip


def published(config: DiTConfig, path: Path) -> DiT:
    """A random network of some layout, and its file."""
    network, generator = DiT(config), torch_generator("published")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    state = export_state(network)
    if path.suffix == ".pt":
        torch.save(state, path)
    else:
        save_file(state, path, {"config": json.dumps({"num_heads": config.num_heads})})
    return network.eval()


def outputs(network: torch.nn.Module, config: DiTConfig) -> torch.Tensor:
    generator = torch_generator("inputs")
    x = torch.randn(8, config.in_channels, 6, 4, generator=generator)
    y = torch.arange(8) % config.label_rows
    with torch.no_grad():
        return network(x, torch.arange(8) * 100, y)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    Image.fromarray(values).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_of_each_layout_is_recognised_and_exported_bit_for_bit(
    layout, suffix, tmp_path, opened_here
):
    path = tmp_path / f"weights{suffix}"
    network = published(CONFIGS[layout], path)
    found = import_network(path, num_heads=4)
    assert (found.layout, found.network.config) == (layout, CONFIGS[layout])
    assert torch.equal(
        outputs(found.network, found.network.config), outputs(network, network.config)
    )
    again = export_state(found.network)
    assert again.keys() == export_state(network).keys()
    assert all(torch.equal(again[k], v) for k, v in export_state(network).items())


@pytest.mark.parametrize("key", ["missing", "unexpected", "misshapen"])
@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("dit-moe", "blocks.1.moe.experts.2.up_proj.weight"),
        ("dit-moe", "blocks.0.moe.shared_experts.down_proj.weight"),
        ("paper", "blocks.1.moe.experts.1.fc2.bias"),
        ("paper", "x_embedder.proj.conv_in_3.weight"),
    ],
)
def test_keys_that_are_wrong_are_listed(layout, name, key, tmp_path):
    published(CONFIGS[layout], tmp_path / "x.safetensors")
    state = load_file(tmp_path / "x.safetensors")
    if key == "missing":
        del state[name]
    elif key == "unexpected":
        name = f"{name}_more"
        state[name] = torch.ones(2)
    else:
        state[name] = torch.ones(*state[name].shape[:-1], state[name].shape[-1] + 1)
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match=f"{key} {name}"):
        load_network(tmp_path / "x.safetensors")


@pytest.mark.parametrize("reference", ["dit_dense", "dit_moe", "generalist_moe_upcycled"])
def test_reference_files_predict_as_they_did_after_the_public_command(reference, parity, tmp_path):
    path = parity(reference)
    tensors = load_file(path)
    x, t, y = tensors["input.x"], tensors["input.t"], tensors["input.y"]
    assert main(["convert", str(path), "--out", str(tmp_path / "model")]) == 0
    loaded = load_network(path)
    config = json.loads((tmp_path / "model/config.json").read_text())
    network = DiT(from_json(ChainConfig, config, "config.json").model)
    network.load_state_dict(load_file(tmp_path / "model/model.safetensors"))
    with torch.no_grad():
        torch.testing.assert_close(loaded(x, t, y), tensors["output"], atol=1e-5, rtol=0)
        if (
            reference != "generalist_moe_upcycled"
        ):  # now it has a condition, which generation ignores
            x = torch.cat([torch.ones_like(x), torch.zeros_like(x), x], 1)
            y = torch.where(y == loaded.config.null_label, network.config.null_label, y)
        torch.testing.assert_close(network(x, t, y), tensors["output"], atol=1e-5, rtol=0)


def test_active_experts_are_those_of_the_file_s_header(tmp_path):
    published(CONFIGS["dit-moe"], tmp_path / "x.safetensors")
    state = load_file(tmp_path / "x.safetensors")
    save_file(
        state, tmp_path / "x.safetensors", {"config": '{"num_experts_per_tok": 1, "num_heads": 4}'}
    )
    network = load_network(tmp_path / "x.safetensors")
    assert network.config.moe is not None and network.config.moe.active == 1
    save_file(state, tmp_path / "x.safetensors", {"config": '{"num_experts_per_tok": 4}'})
    with pytest.raises(InputError, match="num_experts_per_tok: got 4, allowed: 1 to 3"):
        load_network(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "change", [{"qk_norm": True}, {"routes": (1, 2)}, {"routes": (0, 0)}, {"routes": (1, 0)}]
)
def test_what_no_published_layout_can_say_is_not_exported(change):
    with pytest.raises(InputError, match="model: got qk_norm"):
        export_state(DiT(replace(DENSE, **change)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_convert_makes_a_folder_that_predicts(layout, tmp_path, picture, capsys):
    source, out = tmp_path / "weights.safetensors", tmp_path / "model"
    network = published(CONFIGS[layout], source)
    line = ["convert", str(source), "--from", layout, "--out", str(out), "--verbose"]
    assert main(line) == 0
    said = capsys.readouterr().out
    keys = len(load_file(source))
    assert f"keys of the file accounted for: {keys} of {keys}" in said
    assert f"bit for bit, {keys} tensors" in said
    assert all(f"{name} [" in said for name in network.state_dict())
    assert json.loads((out / "conversion.json").read_text())["layout"] == LAYOUTS[layout]
    shutil.rmtree(out)
    assert main(line[:-1]) == 0
    assert len(capsys.readouterr().out.splitlines()) < 12, "a summary"

    chain = Chain.load(out)
    if layout == "paper":
        assert list(chain.tasks) == ["depth", "amodal", "flow"]
        assert chain.config.model.routes == (0, 1, 2, 3)
        assert torch.equal(outputs(chain.network, network.config), outputs(network, network.config))
    else:  # generation as before, whatever the condition
        generator = torch_generator("condition")
        condition, x = (torch.randn(9, c, 4, 4, generator=generator) for c in (24, 12))
        t, y = torch.full((9,), 250), torch.arange(9)
        with torch.no_grad():
            torch.testing.assert_close(
                chain.network(torch.cat([condition, x], 1), t, y), network(x, t, y)
            )
    line = ["predict", "depth", str(picture), "--model", str(out), "--steps", "2", "--members", "1"]
    assert main([*line, "--out", str(tmp_path / "result")]) == 0
    assert np.isfinite(read_npy(tmp_path / "result" / "picture.depth.npy")).all()


def test_the_release_is_sampled_as_its_program_does_where_that_is_asked(tmp_path, picture):
    """The DDIM of diffusers with steps_offset=1 and set_alpha_to_one=False, step by step."""
    source, text, program = (tmp_path / name for name in ("w.safetensors", "text", "program"))
    published(CONFIGS["paper"], source)
    convert(source, text)
    convert(source, program, as_released=True)
    plain, released = Chain.load(text).config, Chain.load(program).config
    assert (plain.prediction, plain.schedule.name) == ("eps", "cosine")
    assert plain.sampling == Sampling(spacing="leading", start_alpha=USABLE)
    assert (released.prediction, released.schedule.name) == ("v", "scaled-linear")
    assert released.sampling == Sampling(spacing="leading+1", final="first")
    assert (released.steps, released.members, released.fit) == (50, 5, "square")
    found = {task.name: task.merging for task in released.tasks}
    assert found == {"depth": "released", "amodal": "median", "flow": "mean"}
    assert released_settings(plain) == released
    card = (program / "README.md").read_text()
    assert "Recalled, not read" in card and "cosine" in (text / "README.md").read_text()

    chain = Chain.load(program)
    batch = Batch(name=("a",), image=torch.zeros(1, 3, 8, 8), visible=torch.ones(1, 8, 8) > 0)
    task, effort = chain.task("amodal"), Effort(steps=5, spacing="leading+1")
    condition = chain.condition(task, batch)
    sampler = BatchSampler(chain, task, batch, condition, effort, noise=[(0, 7)])
    (ours,) = sampler.sample([0], [0])
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    kept = torch.cumprod(1 - betas, 0)
    x = draw_noise([(0, 7, 0, 0)], sampler.shape)(0)
    label = chain.labels(task, batch)[0]
    for t in (801, 601, 401, 201, 1):
        a, b = kept[t], kept[max(t - 200, 0)]
        with torch.no_grad():
            v = chain.network(torch.cat([condition, x], 1), torch.tensor([t]), label)[:, :12]
        x0, eps = a.sqrt() * x - (1 - a).sqrt() * v, a.sqrt() * v + (1 - a).sqrt() * x
        x = (b.sqrt() * x0 + (1 - b).sqrt() * eps).float()
    torch.testing.assert_close(ours[0, 0], x, rtol=1e-4, atol=1e-4)
    line = ["predict", "depth", str(picture), "--model", str(text), "--as-released", "--steps", "2"]
    assert main([*line, "--members", "2", "--out", str(tmp_path / "result")]) == 0
    record = json.loads((tmp_path / "result" / "predictions.jsonl").read_text())
    assert record["spacing"] == "leading+1"


@pytest.mark.parametrize(
    ("name", "more", "said", "told"),
    [
        ("SiT-mini", "", "SiT, 2 blocks of width 16", "alpha"),
        ("moe-mini", "--from dit-moe-flow", "of rectified flow, 2 blocks", "sigma"),
    ],
)
def test_networks_of_straight_lines_draw_what_their_own_integration_draws(
    name, more, said, told, tmp_path, capsys
):
    """Euler steps from noise by their own network f: SiT's from t = 0 to 1, that of DiT-MoE back from 1 to 0."""
    config = replace(CONFIGS["dit-moe"] if told == "sigma" else DENSE, num_classes=5)
    source = tmp_path / f"{name}.safetensors"
    network = published(config, source)
    assert main(["convert", str(source), *more.split(), "--out", str(tmp_path / "m")]) == 0
    printed = capsys.readouterr().out
    assert said in printed and "assumed: velocity" in printed
    chain = Chain.load(tmp_path / "m")
    assert (chain.config.prediction, chain.config.told) == ("v", told)
    image = torch.zeros(1, 3, 8, 8)
    batch = Batch(name=("a",), image=image, label=torch.tensor([3]))
    task = chain.task("generation")
    effort = Effort(steps=4, sampler="euler")
    key = [(0, 3)]
    sampler = BatchSampler(chain, task, batch, chain.condition(task, batch), effort, noise=key)
    (drawn,) = sampler.sample(range(1), [0])
    x = draw_noise([(0, 3, 0, 0)], (12, 4, 4))(0)
    times, step = ([0, 0.25, 0.5, 0.75], 0.25) if told == "alpha" else ([1, 0.75, 0.5, 0.25], -0.25)
    for t in times:
        with torch.no_grad():
            x = x + step * network(x, torch.tensor([float(t)]), torch.tensor([3]))[:, :12]
    torch.testing.assert_close(drawn[0, 0], x, atol=1e-4, rtol=1e-4)
    line = ["convert", str(source), "--from", "dit" if told == "alpha" else "dit-moe"]
    assert main([*line, "--out", str(tmp_path / "n")]) == 0
    assert Chain.load(tmp_path / "n").config.prediction == "eps"


def test_dit_moe_is_of_rectified_flow_from_xl_on():
    """By the widths of its authors' table: S 384, B 768, XL 1152, G 1408."""
    for width, kind in (
        (384, "dit-moe"),
        (768, "dit-moe"),
        (1152, "dit-moe-flow"),
        (1408, "dit-moe-flow"),
    ):
        config = replace(CONFIGS["dit-moe"], hidden_size=width)
        with torch.device("meta"):
            found = Imported(layout="dit-moe", network=DiT(config), entries=[], state={})
        assert name_of(found, Path("x.pt")) == kind


def test_convert_takes_latents_of_four_channels_to_an_autoencoder(
    tmp_path, picture, random_vae, opened_here
):
    source, out = tmp_path / "weights.pt", tmp_path / "model"
    published(replace(DENSE, in_channels=4), source)
    line = [
        "convert",
        str(source),
        "--autoencoder",
        str(random_vae),
        "--heads",
        "4",
        "--out",
        str(out),
    ]
    assert main(line) == 0
    chain = Chain.load(out)
    assert chain.autoencoder.factor == 8 and chain.config.resolution == 32
    line = ["predict", "depth", str(picture), "--model", str(out), "--steps", "2"]
    assert main([*line, "--out", str(tmp_path / "result")]) == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("convert {file} --from dit-moe --out {new}", "--from: got dit-moe, allowed: dit"),
        ("convert {file} --out {full}", "--out: got"),
        ("convert {file} --autoencoder x --out {new}", "--autoencoder: got x"),
        ("convert {absent} --out {new}", "no such file"),
        ("convert {file} --heads 3 --out {new}", "num_heads: got 3"),
        ("convert {silent} --out {new}", "num_heads: got nothing"),
        ("convert {file} --as-released --out {new}", "--as-released: got"),
        ("predict depth {file} --model tiny --as-released --out {new}", "--as-released: got"),
        ("upcycle {file} --experts 4 --active 2 --out {new}", "SRC: got"),
        ("upcycle tiny --experts 2 --active 3 --out {new}", "moe.active: got 3"),
        ("upcycle tiny --experts 2 --active 1 --out {full}", "--out: got"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(line, words, tmp_path, capsys, opened_here):
    file, full, new = tmp_path / "x.safetensors", tmp_path / "full", tmp_path / "new"
    published(DENSE, file)
    published(DENSE, tmp_path / "silent.pt")
    full.mkdir()
    (full / "kept").touch()
    values = {"file": file, "full": full, "new": new, "absent": tmp_path / "absent.pt"}
    values["silent"] = tmp_path / "silent.pt"
    assert main([word.format(**values) for word in line.split()]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert not new.exists() and [path.name for path in full.iterdir()] == ["kept"]


def test_upcycle_keeps_the_function_and_says_so(random_model, tmp_path, capsys):
    line = f"upcycle {random_model} --experts 4 --active 2 --out {tmp_path / 'experts'}"
    assert main(line.split()) == 0
    said = capsys.readouterr().out
    dense, mixed = Chain.load(random_model), Chain.load(tmp_path / "experts")
    assert mixed.config.model.moe == MoEConfig(experts=4, active=2, expert="gelu", renormalise=True)
    assert replace(mixed.config, model=dense.config.model) == dense.config
    config = dense.config.model
    torch.testing.assert_close(
        outputs(mixed.network, config), outputs(dense.network, config), atol=1e-5, rtol=1e-5
    )
    assert "output changed by, relative: " in said

    line = f"upcycle {random_model} --experts 4 --active 2 --no-renormalise --out"
    assert main([*line.split(), str(tmp_path / "plain")]) == 0
    found = json.loads((tmp_path / "plain" / "conversion.json").read_text())["checks"]
    assert float(found["output changed by, relative"]) > 1e-3

    again = f"upcycle {tmp_path / 'experts'} --experts 4 --active 2 --out {tmp_path / 'twice'}"
    assert main(again.split()) == 2
    assert "a network with experts" in capsys.readouterr().err


def test_a_model_folder_is_made_whole_or_not_at_all(random_model, tmp_path, monkeypatch, capsys):
    """A disk that fills up leaves nothing, what a killed process left is no hindrance, one process at a time."""
    out, line = tmp_path / "new", ["upcycle", str(random_model), "--experts", "2", "--active", "1"]
    line += ["--out", str(out)]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("lookharder.conversion.write_json", full)
        assert main(line) == 1
    assert not out.exists()
    (out / ".unfinished").mkdir(parents=True)
    (out / ".unfinished" / "model.safetensors").write_bytes(b"half")
    with hold_folder(out):
        assert main(line) == 2
    assert "another process" in capsys.readouterr().err
    assert main(line) == 0
    names = {"README.md", "config.json", "conversion.json", "model.safetensors"}
    assert {path.name for path in out.iterdir()} == names
