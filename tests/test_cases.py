"""Small inputs of situations that people report, each with the answer that is right, or the one line that is clear.

The inputs are outside the repository; `docs/cases.md` says what each is.
"""

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from lookharder.chain import Chain
from lookharder.cli import main
from lookharder.data import formats
from lookharder.data.example import Dataset
from lookharder.data.latents import LatentSet
from lookharder.data.source import DataConfig, open_data
from lookharder.data.store import Stored
from lookharder.data.usable import Usable
from lookharder.errors import InputError
from lookharder.files import say_once
from lookharder.predict.predictor import Predictor
from lookharder.scaling.laws import Laws
from lookharder.scaling.record import Records
from lookharder.study.queue.ledger import Ledger
from lookharder.training import checkpoint
from lookharder.training.checkpoint.manifest import DamagedError
from lookharder.training.config import TrainConfig
from lookharder.training.monitor.history import read_history, summary
from lookharder.training.teaching import check_teaching

Case = Callable[[str], Path]


@pytest.fixture
def case(shared: Callable[[str], Path]) -> Case:
    return lambda name: shared(f"cases/{name}")


def opened(spec: str) -> Dataset:
    return open_data(DataConfig(spec=spec))


def checked(spec: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The faults that `check` names."""
    code = main(["check", "--data", spec])
    *faults, last = capsys.readouterr().out.splitlines()
    assert code == (2 if faults else 0) and last.startswith(spec), last
    return faults


def fails(capsys: pytest.CaptureFixture[str], line: list[str], *words: str) -> None:
    """The command exits with 2 and one line that has these words."""
    assert main(line) == 2
    (said,) = [row for row in capsys.readouterr().err.splitlines() if "error: " in row]
    assert said.startswith("lookharder: error: ") and all(word in said for word in words), said


def test_one_door_for_pictures(case: Case, random_model: Path):
    """api-pil: what Pillow opens and what the command line reads is the same picture."""
    predictor = Predictor.from_pretrained(random_model)
    for name in ("g16.png", "rgba.png", "la.png", "pal_t.png", "e3.jpg", "e6.jpg"):
        path = case(f"api-pil/{name}")
        with Image.open(path) as picture:
            found = predictor(picture, seed=3).prediction
        assert np.array_equal(found, predictor(formats.read_image(path), seed=3).prediction), name


def test_a_byte_order_mark_in_lists(case: Case, capsys):
    """bom-lists"""
    names = ("filename_list.txt", "bom.txt", "crlf.txt", "meta.csv", "meta_bom.csv")
    lists = [f"hypersim:{case('bom-lists/hs')}?list={name}" for name in names]
    for spec in (f"flying_chairs:{case('bom-lists/fc')}", *lists):
        assert len(opened(spec)) == 2 and checked(spec, capsys) == []


WRAPPED = "bare both compiled ddp deepspeed ema_empty ema_none ema_state_dict model_ema numscalar"


@pytest.mark.parametrize("name", WRAPPED.split())
def test_the_average_is_taken_of_weights_as_people_have_them(
    case: Case, tmp_path: Path, name: str, opened_here: None
):
    """convert-wrappers"""
    line = ["convert", str(case(f"convert-wrappers/{name}.pt")), "--heads", "2"]
    assert main([*line, "--out", str(tmp_path / "m")]) == 0
    bare = torch.load(case("convert-wrappers/bare.pt"), weights_only=True)
    found = load_file(tmp_path / "m" / "model.safetensors")
    key = "blocks.0.mlp.fc1.weight"
    assert torch.equal(found[key], bare[key])


@pytest.mark.parametrize(
    ("name", "words"),
    [("lfs.pt", "git lfs pull"), ("lfs.safetensors", "git lfs pull"), ("extra.pt", "ema.decay")],
)
def test_what_is_no_file_of_weights(
    case: Case, tmp_path: Path, capsys, opened_here: None, name: str, words: str
):
    """convert-wrappers"""
    line = ["convert", str(case(f"convert-wrappers/{name}")), "--heads", "2"]
    fails(capsys, [*line, "--out", str(tmp_path / "m")], words)
    assert not (tmp_path / "m").exists()


def test_one_damaged_picture_is_named_and_another_stands_in(case: Case, capsys):
    """corrupt-crop-run"""
    spec = f"folder:{case('corrupt-crop-run/set')}?crop=64&views=1"
    (fault,) = checked(spec, capsys)
    assert "p033.jpg" in fault
    usable = Usable(opened(spec), ("depth",))
    assert usable[33].name != "p033.jpg" and "p033.jpg" in usable.left_out[33]


def test_frames_without_a_scorable_pixel_are_named_and_left_out(
    case: Case, random_model: Path, tmp_path: Path
):
    """eval-no-scorable-pixel"""
    for task, name, out in (
        ("depth", "invalid", 1),
        ("depth", "far", 1),
        ("flow", "flow", 1),
    ):
        data = f"folder:{case('eval-no-scorable-pixel')}/{name}"
        line = ["evaluate", "--task", task, "--model", str(random_model), "--data", data]
        assert main([*line, "--out", str(tmp_path / "x.json")]) == 0
        scores = json.loads((tmp_path / "x.json").read_text())
        assert len(scores["left_out"]) == out, name


def test_exif_beside_annotations_is_told(case: Case, caplog: pytest.LogCaptureFixture):
    """exif-beside-annotation"""
    say_once.cache_clear()
    data = opened(f"folder:{case('exif-beside-annotation/sq')}")
    for index in range(len(data)):
        name = data[index].name
        assert any(name in line and "EXIF" in line for line in caplog.messages)


def test_a_mask_of_several_objects_is_refused(case: Case):
    """id-mask"""
    with pytest.raises(InputError, match="levels 1, 2 between 0 and 3"):
        formats.read_mask(case("id-mask/ids.png"))


def test_a_hidden_folder_shifts_no_label(case: Case, tmp_path: Path, capsys):
    """imagenet-hidden-folder"""
    shutil.copytree(case("imagenet-hidden-folder/im"), tmp_path / "im")
    (tmp_path / "im").chmod(0o755)
    for folder in (tmp_path / "im").iterdir():
        folder.chmod(0o755)
    spec = f"imagenet:{tmp_path / 'im'}?side=16"
    labels = [0, 0, 1, 1]
    assert [opened(spec)[i].label for i in range(4)] == labels
    (tmp_path / "im" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "im" / "n01440764" / "._n01440764_0.JPEG").write_bytes(bytes(100))
    data = opened(spec)
    assert [data[i].label for i in range(len(data))] == labels and checked(spec, capsys) == []


def test_weights_that_are_not_finite_are_refused(
    case: Case, random_model: Path, tmp_path: Path, capsys, opened_here: None
):
    """nan-weights"""
    for name in ("nan", "qkvbias_inf"):
        line = ["convert", str(case(f"nan-weights/{name}.pt")), "--heads", "2"]
        fails(capsys, [*line, "--out", str(tmp_path / name)], "not finite")
    shutil.copytree(random_model, tmp_path / "m")
    weights = load_file(tmp_path / "m" / "model.safetensors")
    weights["final_layer.linear.bias"].fill_(float("nan"))
    save_file(weights, tmp_path / "m" / "model.safetensors")
    photo = str(case("nan-weights/a.png"))
    for more in (["depth"], ["flow", "--second", photo]):
        line = ["predict", more[0], photo, *more[1:], "--model", str(tmp_path / "m")]
        fails(capsys, [*line, "--out", str(tmp_path / "out")], "not finite")


def test_what_is_left_out_of_a_folder_is_named(
    case: Case, random_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys
):
    """silent-skip"""
    say_once.cache_clear()
    photos = case("silent-skip/photos")
    line = ["predict", "depth", str(photos), "--model", str(random_model)]
    assert main([*line, "--out", str(tmp_path / "o")]) == 0
    assert any("2 left out: p00.tif, p02.gif" in message for message in caplog.messages)
    capsys.readouterr()
    faults = checked(f"folder:{case('silent-skip/depth-tiff')}?depth_unit=mm", capsys)
    assert ["p0_depth.tiff" in faults[0], "p1_depth.tiff" in faults[1]] == [True, True]
    data = opened(f"folder:{case('silent-skip/depth-capital')}?depth_unit=mm")
    assert len(data) == 2 and all(data[i].depth is not None for i in range(2))


@pytest.mark.parametrize(
    ("task", "spec"), [("depth", "folder:{}/depth?depth_unit=mm"), ("flow", "kitti_flow:{}/kitti")]
)
def test_truth_that_can_teach_nothing_is_refused_before_the_start(
    case: Case, random_model: Path, task: str, spec: str
):
    """sparse-target"""
    config = TrainConfig(mix={task: 1.0}, iterations=4, batch_size=8)
    data = {task: opened(spec.format(case("sparse-target")))}
    with pytest.raises(InputError, match=rf"data.{task}: .* denser truth"):
        check_teaching(config, Chain.load(random_model), data)


def test_pictures_and_arrays_that_are_not_whole(case: Case, caplog):
    """fuzz: files of no folder of their own."""
    for path in sorted(case("fuzz").glob("png-silent-*.png")):
        with pytest.raises(InputError, match="checksum"):
            formats.read_mask(path)
        say_once.cache_clear()
        formats.read_image(path)  # of a photograph it is said
        assert "checksum does not hold" in caplog.messages[-1] and path.name in caplog.messages[-1]
    for path in (*case("fuzz").glob("png16-*.png"), case("fuzz/depth-second-ihdr-bomb.png")):
        with pytest.raises(InputError):
            formats.read_depth_png(path)
    with pytest.raises(InputError):
        formats.read_npy(case("fuzz/npy-overflow-shape.npy"))
    with pytest.raises(InputError):
        formats.read_npz(case("fuzz/npz-three-members-one-name.npz"))


def test_folders_that_do_not_say_what_they_hold(case: Case):
    """fuzz: latents, stores, checkpoints, ledgers."""
    for folder in sorted(case("fuzz/latents").iterdir()):
        with pytest.raises(InputError):
            LatentSet(folder)
    for folder in sorted(case("fuzz/facts").iterdir()):
        with pytest.raises(InputError):
            Stored(folder / "st" / "k")
    for folder in sorted(case("fuzz/checkpoint").iterdir()):
        assert checkpoint.intact(folder / "checkpoints") == []
        with pytest.raises(DamagedError):
            checkpoint.load(folder / "checkpoints" / "00000020")
    for folder in sorted(case("fuzz/ledger").iterdir()):
        ledger = Ledger(folder)
        for run in sorted((folder / "runs").iterdir()):
            with contextlib.suppress(InputError):  # what is there of it may be right
                ledger.job(run.name)
                ledger.state(run.name)
                ledger.error(run.name)


def test_hostile_files(case: Case, capsys):
    """hostile: bombs, numbers without end, control characters."""
    for folder in sorted(case("hostile").glob("m-*")):
        with pytest.raises(InputError):
            Chain.load(folder)
    for name in ("r-1e400", "r-deep"):
        with pytest.raises(InputError):
            Records.read(case(f"hostile/{name}.jsonl"))
    for name in ("l-1e400", "l-deep"):
        with pytest.raises(InputError):
            Laws.read(case(f"hostile/{name}.json"))
    for name in ("run-deep", "run-losses", "run-time"):
        with contextlib.suppress(InputError):
            summary(read_history(case(f"hostile/{name}")))
    for name in ("bomb", "npy", "pal", "jpg"):
        assert len(checked(f"folder:{case('hostile')}/{name}", capsys)) == 1
    for name in ("esc", "sur"):
        assert main(["check", "--data", str(case(f"hostile/mf/{name}.jsonl"))]) == 2
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    good, bad = (case(f"hostile/mask-{name}.png") for name in ("good", "bad"))
    assert formats.read_mask(good).any()
    with pytest.raises(InputError):
        formats.read_mask(bad)
