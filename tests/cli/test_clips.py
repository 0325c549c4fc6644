"""Clips in and out: every frame, one range of colours, one noise, and no more memory for a longer one."""

import json
import re
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lookharder.cli import main
from lookharder.data.formats import read_flo, read_npy, write_image
from lookharder.data.formats.video import clip_facts, read_clip, writing_clip
from lookharder.errors import InputError
from lookharder.files import say_once
from lookharder.predict.files import clips
from lookharder.predict.files.steady import steady
from lookharder.predict.predictor import Predictor

pytest.importorskip("av")
PREDICT = "predict {} {} --model model --steps 1 --out out"


def frames(count: int, height: int = 31, width: int = 45) -> list[np.ndarray]:
    """A smooth picture that moves to the left, (3, H, W) uint8."""
    x, y = np.meshgrid(np.arange(width + count), np.arange(height))
    picture = np.stack([5 * x, 7 * y, 3 * (x + y)]).astype(np.uint8)
    return [picture[..., i : i + width].copy() for i in range(count)]


def clip(path: Path, count: int = 5) -> list[np.ndarray]:
    with writing_clip(path, Fraction(12)) as add:
        for frame in frames(count):
            add(np.moveaxis(frame, 0, -1))
    return list(read_clip(path))


def records() -> list[dict]:
    return [json.loads(line) for line in Path("out/predictions.jsonl").read_text().splitlines()]


def test_what_is_written_is_read(tmp_path: Path):
    read = clip(tmp_path / "x.mp4")
    facts = clip_facts(tmp_path / "x.mp4")
    assert (facts.rate, facts.size, facts.count) == (12, (32, 46), 5)
    for frame, back in zip(frames(5), read, strict=True):
        assert np.abs(frame.astype(int) - back[:, :31, :45]).mean() < 20  # colours lose detail


def test_depth_of_a_clip(place, capsys, monkeypatch):
    read = clip(Path("x.mp4"))
    monkeypatch.setattr(clips, "together", lambda height, width: 2)
    assert main(PREDICT.format("depth", "x.mp4 --format npy --steady 0").split()) == 0
    (record,) = records()
    assert (record["frames"], record["rate"]) == (5, 12)
    names = sorted(path.name for path in Path("out/x.depth.frames").iterdir())
    assert names == [f"{i:06d}.npy" for i in range(5)]
    assert clip_facts("out/x.depth.mp4").count == 5
    assert '<video src="x.depth.mp4"' in Path("out/index.html").read_text()
    shared = Predictor.from_pretrained("model")
    options = clips.Options(num_inference_steps=1)
    batch = clips.batch_of(shared.chain.task("depth"), read[3], {})
    (alone,) = shared.predict("depth", batch, options, noise_key=clips.SHARED)
    # what a frame gives does not depend on its company
    stored = read_npy("out/x.depth.frames/000003.npy")
    np.testing.assert_allclose(stored, alone.prediction[0, ..., 0], atol=1e-5)
    capsys.readouterr()
    assert main(PREDICT.format("depth", "x.mp4 --format npy --steady 0").split()) == 0
    assert "(1 done before)" in capsys.readouterr().out


def test_depth_of_a_clip_is_steadied(place):
    """Each frame by the one before, across the groups that are predicted together; half and half as a rule."""
    read, found = clip(Path("x.mp4"), 3), {}
    for name, more in (("alone", "--steady 0"), ("half", "")):
        line = PREDICT.format("depth", f"x.mp4 --format npy {more}").replace(
            "--out out", f"--out {name}"
        )
        assert main(line.split()) == 0
        (record,) = map(json.loads, Path(name, "predictions.jsonl").read_text().splitlines())
        assert record["steady"] == (0.5 if name == "half" else 0)
        found[name] = [read_npy(f"{name}/x.depth.frames/{i:06d}.npy") for i in range(3)]
    last = None
    for image, alone, stored in zip(read, found["alone"], found["half"], strict=True):
        last = steady(last, image, alone, 0.5)
        np.testing.assert_array_equal(stored, last.depth)


@pytest.mark.parametrize(
    ("line", "got"), [("depth x.mp4 --steady 1", "1.0"), ("flow x.mp4 --steady 0.5", "flow")]
)
def test_what_cannot_be_steadied(place, capsys, line, got):
    clip(Path("x.mp4"), 2)
    assert main(PREDICT.format(*line.split(" ", 1)).split()) == 2
    assert "--steady" in (said := capsys.readouterr().err) and got in said
    assert not Path("out").exists()


def test_flow_of_a_clip_and_of_a_folder_of_frames(place):
    read = clip(Path("x.mp4"), 4)
    assert main(PREDICT.format("flow", "x.mp4 --format flo").split()) == 0
    for i, frame in zip((1, 2, 10, 11), read, strict=True):  # numbers sort as numbers
        Path("set").mkdir(exist_ok=True)
        write_image(f"set/frame_{i}.png", frame)
    assert main(PREDICT.format("flow", "set --format flo").split()) == 0
    assert [record["frames"] for record in records()] == [3, 3]
    for i in range(3):
        pair = [read_flo(f"out/{name}.flow.frames/{i:06d}.flo") for name in ("x", "set")]
        assert pair[0].shape == (2, 32, 46)
        assert (pair[0] == pair[1]).all()


def test_a_long_clip_is_not_held(place, monkeypatch):
    """Frames are taken from the clip as they are needed: never more than two groups are alive."""
    clip(Path("x.mp4"), 12)
    monkeypatch.setattr(clips, "together", lambda height, width: 2)
    alive, most, read = [0], [0], clips.read_clip

    def counted(path):
        for frame in read(path):
            alive[0] += 1
            most[0] = max(most[0], alive[0])
            yield frame

    def written(*given):
        alive[0] -= 1
        return write(*given)

    write = clips.write_frame
    monkeypatch.setattr(clips, "read_clip", counted)
    monkeypatch.setattr(clips, "write_frame", written)
    assert main(PREDICT.format("depth", "x.mp4 --format npy").split()) == 0
    assert most[0] <= 4 and alive[0] == 0


def test_a_clip_that_ends_too_soon_leaves_no_record(place, capsys):
    clip(Path("x.mp4"), 30)
    Path("cut.mp4").write_bytes(Path("x.mp4").read_bytes()[:600])
    Path("text.mp4").write_text("no clip")
    for name in ("cut.mp4", "text.mp4", "missing.mp4"):
        assert main(PREDICT.format("depth", name).split()) == 2
        assert name in capsys.readouterr().err
        assert not Path("out").exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("depth x.mp4 a.png", "clips alone"),
        ("amodal x.mp4 --mask mask.png", "task 'amodal'"),
        ("flow x.mp4 --second b.png", "beside a clip"),
        ("depth x.mp4 --ply", "--ply"),
    ],
)
def test_what_is_not_done_for_clips_is_said(place, capsys, line, words):
    clip(Path("x.mp4"), 2)
    assert main(f"predict {line} --model model --out out".split()) == 2
    assert words in capsys.readouterr().err


def test_without_pyav_a_clip_says_what_to_install(place, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    Path("x.mp4").write_bytes(b"")
    with pytest.raises(InputError, match=r"lookharder\[video\]"):
        clip_facts("x.mp4")


def test_a_clip_that_cannot_be_predicted_changes_nothing(place, capsys):
    clip(Path("x.mp4"), 3)
    assert main(PREDICT.format("flow", "x.mp4").split()) == 0
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    clip(Path("x.mp4"), 1)
    for out in ("out", "new"):
        line = PREDICT.format("flow", "x.mp4").replace("--out out", f"--out {out}")
        assert main(line.split()) == 2
    assert before == {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    assert not Path("new").exists()


def test_clips_that_cannot_be_used_are_left_out(place, capsys):
    clip(Path("x.mp4"), 3)
    clip(Path("short.mp4"), 1)
    Path("empty.mp4").touch()
    assert main(PREDICT.format("flow", "short.mp4 empty.mp4 x.mp4").split()) == 2
    said = capsys.readouterr()
    assert "left out: empty.mp4: got an empty file" in said.err
    assert "left out: short.mp4: got too few frames" in said.err
    assert [record["name"] for record in records()] == [
        "x"
    ] and "1 clip, flow, 2 left out" in said.out
    assert main(PREDICT.format("flow", "short.mp4 x.mp4 --strict").split()) == 2
    assert main(PREDICT.format("depth", "empty.mp4").split()) == 2


def test_a_clip_with_fewer_frames_than_its_header_says_is_told(tmp_path: Path, caplog, capsys):
    import av

    say_once.cache_clear()
    path = tmp_path / "x.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=12)
        stream.pix_fmt, stream.height, stream.width = "yuvj420p", 32, 46
        for picture in frames(30, 32, 46):
            frame = av.VideoFrame.from_ndarray(np.moveaxis(picture, 0, -1).copy(), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    whole = path.read_bytes()
    chunks = [match.start() for match in re.finditer(b"00dc", whole)]
    path.write_bytes(whole[: chunks[12]])
    found = len(list(read_clip(path)))
    assert 0 < found < 30
    assert f"{found} of the 30 frames" in capsys.readouterr().err + caplog.text
