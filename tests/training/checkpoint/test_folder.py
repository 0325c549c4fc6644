"""A checkpoint is whole or it is not there: round trips, damage, a failing disk, kill -9."""

import errno
import json
import logging
import os
import resource
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from lookharder.errors import InputError
from lookharder.seeding import numpy_generator, torch_generator
from lookharder.training.checkpoint import clean, load_latest, pack, save, unpack, verify
from lookharder.training.checkpoint import folder as checkpoint_folder
from lookharder.training.checkpoint import manifest as checkpoint_manifest
from lookharder.training.optim import Ema, OptimConfig, build_optimizer, learning_rate

CONFIG = OptimConfig(lr=0.01, lr_schedule="cosine", warmup=2, weight_decay=0.1)
HORIZON = 10


class Net(nn.Module):
    """What makes states awkward: buffers, a tie, a frozen, a late and a half-precision part."""

    def __init__(self, seed: int, width: int = 6) -> None:
        super().__init__()
        self.table = nn.Embedding(5, width)
        self.dense = nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width)
        self.tied = self.dense
        self.late = nn.Parameter(torch.zeros(width))
        self.frozen = nn.Parameter(torch.zeros(width), requires_grad=False)
        self.gain = nn.Parameter(torch.zeros(width, dtype=torch.bfloat16))
        generator = torch_generator(seed, "weights")
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, index: torch.Tensor, iteration: int) -> torch.Tensor:
        x = self.norm(self.dense(self.table(index))) * self.gain.float() + self.frozen
        return x + self.late if iteration >= 6 else x


class Run:
    """A model in training whose iteration i depends on (state, i) alone."""

    def __init__(self, seed: int, width: int = 6) -> None:
        self.model = Net(seed, width)
        self.optimizer = build_optimizer(self.model, CONFIG)
        self.ema = Ema(self.model, CONFIG)

    def train(self, first: int, end: int) -> None:
        for iteration in range(first, end):
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(CONFIG, iteration, HORIZON)
            index = torch.randint(5, (8,), generator=torch_generator("data", iteration))
            self.model(index, iteration).square().mean().backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.ema.update(self.model, iteration)

    def state(self) -> dict[str, torch.Tensor]:
        return {name: tensor.clone() for name, tensor in pack(*self.parts()).items()}

    def parts(self) -> tuple[nn.Module, Ema, torch.optim.Optimizer]:
        return self.model, self.ema, self.optimizer


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Equal bit for bit, types and NaN payloads included."""
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype
        and a[k].shape == b[k].shape
        and a[k]
        .contiguous()
        .flatten()
        .view(torch.uint8)
        .equal(b[k].contiguous().flatten().view(torch.uint8))
        for k in a
    )


def filled(iteration: int) -> dict[str, torch.Tensor]:
    return {"a": torch.full((7, 5), float(iteration)), "b": torch.tensor(iteration)}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with the intact checkpoints 1 and 2."""
    for iteration in (1, 2):
        save(tmp_path / "checkpoints", iteration, filled(iteration), {"loss": iteration / 3})
    return tmp_path / "checkpoints"


# Round trips


def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    whole = Run(seed=0)
    whole.train(0, HORIZON)

    first = Run(seed=0)
    first.train(0, 4)
    before = first.state()
    save(tmp_path, 4, pack(*first.parts()), {})

    second = Run(seed=1)
    assert not same(second.state(), before)
    found = load_latest(tmp_path)
    unpack(found.tensors, *second.parts())
    assert same(second.state(), before)
    second.train(found.iteration, HORIZON)
    assert same(second.state(), whole.state())
    assert not same(second.state(), before)


def test_a_run_with_muon_resumes_bit_for_bit(tmp_path):
    config = replace(CONFIG, optimizer="muon")

    def fresh() -> Run:
        run = Run(0)
        run.model = nn.ModuleDict({"blocks": run.model})
        run.model.forward = run.model["blocks"].forward
        run.optimizer, run.ema = build_optimizer(run.model, config), Ema(run.model, config)
        return run

    whole, first, second = fresh(), fresh(), fresh()
    whole.train(0, HORIZON)
    first.train(0, 4)
    saved = first.state()
    assert "optimizer.exp_avg.blocks.dense.weight" in saved
    assert "optimizer.exp_avg_sq.blocks.dense.weight" not in saved
    assert "optimizer.exp_avg_sq.blocks.dense.bias" in saved
    save(tmp_path, 4, saved, {})
    found = load_latest(tmp_path)
    assert found is not None
    unpack(found.tensors, *second.parts())
    second.train(4, HORIZON)
    assert same(second.state(), whole.state())


def test_state_before_the_first_update_round_trips(tmp_path):
    whole, first, second = Run(seed=0), Run(seed=0), Run(seed=1)
    save(tmp_path, 0, pack(*first.parts()), {})
    unpack(load_latest(tmp_path).tensors, *second.parts())
    for run in (whole, second):
        run.train(0, 3)
    assert same(whole.state(), second.state())


def test_unpack_copies():
    first, second = Run(seed=0), Run(seed=1)
    first.train(0, 3)
    before = first.state()
    unpack(pack(*first.parts()), *second.parts())
    second.train(3, 6)
    assert same(first.state(), before)


def test_awkward_tensors_round_trip(tmp_path):
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    tensors = {
        "whole": base,
        "same": base,
        "row": base[1],
        "transposed": base.T,
        "expanded": torch.ones(()).expand(3, 2),
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "nan": torch.tensor([0x7FC00001, -1], dtype=torch.int32).view(torch.float32),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "mask": torch.tensor([True, False, True]),
        "double": torch.full((2,), 1 / 3, dtype=torch.float64),
        "learned": nn.Parameter(torch.ones(2)),
    }
    meta = {"config": "0f1e", "note": "größer", "loss": 0.1 + 0.2, "list": [1, None, True, {}]}
    path = save(tmp_path, 12, tensors, meta)
    found = load_latest(tmp_path)
    assert (found.iteration, found.path, found.skipped, found.meta) == (12, path, [], meta)
    assert same(found.tensors, {name: tensor.detach() for name, tensor in tensors.items()})
    memory = {tensor.untyped_storage().data_ptr() for tensor in found.tensors.values()}
    assert len(memory) == len(tensors)
    assert all(tensor.data_ptr() % 16 == 0 for tensor in found.tensors.values())


def test_unpack_is_strict_and_lists_every_key():
    run = Run(seed=0)
    run.train(0, 3)
    before, state = run.state(), run.state()
    del state["model.dense.bias"], state["optimizer.step.late"]
    state["model.stranger"] = torch.zeros(2)
    state["ema.late"] = torch.zeros(7)
    state["optimizer.exp_avg.gain"] = torch.zeros(6)
    with pytest.raises(InputError) as error:
        unpack(state, *run.parts())
    text = str(error.value)
    for key in (
        "model.dense.bias (6,)",
        "optimizer.step.late ()",
        "model.stranger (2,)",
        "ema.late (7,)",
        "optimizer.exp_avg.gain (6,) torch.float32",
        "optimizer.exp_avg.gain (6,) torch.bfloat16",
    ):
        assert key in text
    assert "model.table" not in text
    assert same(run.state(), before)
    with pytest.raises(InputError, match=r"model\.dense\.weight \(6, 6\)"):
        unpack(before, *Run(seed=0, width=8).parts())


# The folder of a run


def test_no_checkpoint_is_none(tmp_path):
    assert load_latest(tmp_path) is None
    assert load_latest(tmp_path / "absent") is None
    (tmp_path / ".tmp-left").mkdir()
    (tmp_path / "notes").mkdir()
    assert load_latest(tmp_path) is None


def test_the_newest_are_kept(tmp_path):
    for iteration in (9, 10, 100, 99_999_999, 100_000_000):
        save(tmp_path, iteration, filled(iteration), {}, keep=2)
    assert names(tmp_path) == ["100000000", "99999999"]
    assert load_latest(tmp_path).iteration == 100_000_000
    with pytest.raises(InputError, match="keep"):
        save(tmp_path, 100_000_001, filled(1), {}, keep=0)


def test_an_intact_checkpoint_is_never_written_again(two):
    file = two / "00000002" / "state.safetensors"
    before = file.stat()
    assert save(two, 2, filled(2), {"loss": 0}) == two / "00000002"
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    with pytest.raises(InputError, match="holds another state"):
        save(two, 2, filled(3), {})
    with pytest.raises(InputError, match=r"intact .*00000002"):
        save(two, 1, filled(1), {})
    assert names(two) == ["00000001", "00000002"]
    assert same(load_latest(two).tensors, filled(2))


def test_damaged_checkpoints_give_way_and_never_push_out_good_ones(two):
    save(two, 8, filled(8), {}, keep=3)
    for name in ("00000002", "00000008"):
        (two / name / "state.safetensors").write_bytes(b"")
    found = load_latest(two)
    assert (found.iteration, len(found.skipped)) == (1, 2)

    save(two, 2, filled(20), {}, keep=2)  # in the place of a damaged one, before another
    assert names(two) == ["00000001", "00000002"]
    found = load_latest(two)
    assert (found.iteration, found.skipped) == (2, [])
    assert same(found.tensors, filled(20))


def test_orphans_are_removed(two):
    orphan = two / ".tmp-0123"
    orphan.mkdir()
    (orphan / "state.safetensors").write_bytes(b"half")
    clean(two)
    assert names(two) == ["00000001", "00000002"]
    clean(two / "absent")


# Damage


def reads_the_one_before(folder: Path) -> bool:
    found = load_latest(folder)
    return (
        found.iteration == 1
        and same(found.tensors, filled(1))
        and found.meta == {"loss": 1 / 3}
        and len(found.skipped) == 1
        and found.skipped[0].startswith("00000002: ")
    )


@pytest.mark.parametrize("file", ["state.safetensors", "manifest.json"])
def test_every_truncation_is_detected(two, file):
    path = two / "00000002" / file
    content = path.read_bytes()
    for length in {0, 1, 7, 8, 9, len(content) // 2, len(content) - 2, len(content) - 1}:
        path.write_bytes(content[:length])
        assert reads_the_one_before(two), length
    path.write_bytes(content + b"\n")
    assert reads_the_one_before(two)
    path.unlink()
    assert reads_the_one_before(two)
    path.mkdir()
    assert reads_the_one_before(two)
    path.rmdir()
    path.write_bytes(content)
    assert load_latest(two).iteration == 2


@pytest.mark.parametrize("file", ["state.safetensors", "manifest.json"])
def test_every_flipped_bit_is_detected(two, file):
    path = two / "00000002" / file
    content = path.read_bytes()
    generator = numpy_generator("flips", file)
    for position, bit in enumerate(generator.integers(8, size=len(content))):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(bit)
        path.write_bytes(flipped)
        assert reads_the_one_before(two), (position, bit)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", "3", '{"seal": 1}', "\ud800", '{"a": NaN}']
)
def test_what_is_no_manifest_is_damage(two, text):
    (two / "00000002" / "manifest.json").write_bytes(text.encode(errors="surrogatepass"))
    assert reads_the_one_before(two)


def test_a_checkpoint_under_another_name_is_damage(two):
    (two / "00000002").rename(two / "00000003")
    found = load_latest(two)
    assert (found.iteration, found.skipped) == (
        1,
        ["00000003: manifest.json is that of iteration 2"],
    )


def test_damage_is_logged(two, caplog):
    (two / "00000002" / "state.safetensors").write_bytes(b"short")
    with caplog.at_level(logging.WARNING):
        found = load_latest(two)
    assert "00000002" in caplog.text
    assert "5 bytes instead of" in caplog.text
    assert "5 bytes instead of" in found.skipped[0]


def test_all_damaged_is_an_error_that_names_them_all(two):
    (two / "00000001" / "manifest.json").unlink()
    (two / "00000002" / "state.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"00000002: .* 0 bytes .*00000001: .*No such file"):
        load_latest(two)


def test_a_later_format_is_refused_not_skipped(two, monkeypatch):
    monkeypatch.setattr(checkpoint_manifest, "FORMAT", 2)
    save(two, 3, filled(3), {})
    monkeypatch.undo()
    with pytest.raises(InputError, match="got format 2, allowed: format 1"):
        load_latest(two)


# A disk that fails


def fail_at(monkeypatch: pytest.MonkeyPatch, site: int) -> None:
    """The write number `site` fails for want of space, after half of its bytes."""
    calls = iter(range(10_000))

    def failing(call, half=None):
        def wrapped(*args, **kwargs):
            if next(calls) == site:
                if half:
                    half(*args)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*args, **kwargs)

        return wrapped

    write = Path.write_bytes
    for owner, name, half in (
        (os, "fsync", None),
        (Path, "mkdir", None),
        (Path, "rename", None),
        (Path, "write_bytes", lambda path, data: write(path, data[: len(data) // 2])),
        (checkpoint_folder, "save_file", lambda tensors, path: write(path, b"half")),
    ):
        monkeypatch.setattr(owner, name, failing(getattr(owner, name), half))


def test_a_full_disk_at_any_write_loses_nothing(two):
    for site in range(100):
        folder = two.parent / f"site{site}"
        shutil.copytree(two, folder)
        with pytest.MonkeyPatch.context() as monkeypatch:
            fail_at(monkeypatch, site)
            try:
                save(folder, 3, filled(3), {"loss": 1.0}, keep=2)
                break
            except OSError as error:
                assert error.errno == errno.ENOSPC
        assert {"00000001", "00000002"} <= set(names(folder)) <= {f"0000000{i}" for i in (1, 2, 3)}
        for name in names(folder):
            verify(folder / name)
        found = load_latest(folder)
        assert found.skipped == []
        assert same(found.tensors, filled(found.iteration))
        save(folder, 3, filled(3), {"loss": 1.0}, keep=2)
        assert names(folder) == ["00000002", "00000003"]
    # folder, state, manifest, three syncs, rename, sync; then the rename of the oldest
    assert site == 9
    assert names(folder) == ["00000002", "00000003"]


def test_an_interrupt_inside_save_leaves_nothing_behind(two, monkeypatch):
    def interrupt(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_folder, "sync_folder", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(two, 3, filled(3), {})
    assert names(two) == ["00000001", "00000002"]


def test_a_file_that_the_system_cuts_short_is_an_oserror(two):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(OSError, match=r"state\.safetensors"):
            save(two, 3, {"large": torch.zeros(1 << 20)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(two) == ["00000001", "00000002"]


def test_space_is_checked_before_the_first_byte(two, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 5_000_000))
    monkeypatch.setattr(checkpoint_folder, "save_file", None)
    with pytest.raises(OSError, match=r"9,048,576 bytes needed, 5,000,000 free") as error:
        save(two, 3, {"large": torch.zeros(2_000_000)}, {})
    assert error.value.errno == errno.ENOSPC


def test_meta_must_be_finite_json(two):
    for meta in ({"loss": float("nan")}, {"path": Path()}):
        with pytest.raises((ValueError, TypeError), match="JSON"):
            save(two, 3, filled(3), meta)
    assert names(two) == ["00000001", "00000002"]


# kill -9

KILLED = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch
from lookharder.training.checkpoint import clean, load_latest, save

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)
clock = random.Random(int(sys.argv[3]))
saved, orphans = 0, 0
for _ in range(rounds):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        while True:
            saved += 1
            tensors = {f"w{i}": torch.full((64, 64), float(saved)) for i in range(4)}
            save(folder, saved, tensors, {"saved": saved}, keep=2)
            os.write(writer, saved.to_bytes(8, "little"))
    reports = os.read(reader, 8)  # one save at least, however busy the machine
    time.sleep(clock.uniform(0, 0.2))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(writer)
    while chunk := os.read(reader, 1 << 16):
        reports += chunk
    os.close(reader)
    returned = int.from_bytes(reports[-8:], "little") if reports else saved
    orphans += len(list(folder.glob(".tmp-*")))
    found = load_latest(folder)
    if found is not None:
        assert found.skipped == [], found.skipped
        assert found.meta == {"saved": found.iteration}, found.meta
        assert len(found.tensors) == 4
        assert all((t == found.iteration).all() for t in found.tensors.values())
    last = found.iteration if found else 0
    assert returned <= last <= returned + 1, (returned, last)
    saved = last
    clean(folder)
    assert all(path.name.isdecimal() for path in folder.glob("*"))
print(json.dumps({"saved": saved, "orphans": orphans}))
"""


def test_killed_at_random_moments_it_loses_at_most_the_save_in_progress(tmp_path, fork):
    done = fork(KILLED, tmp_path, 16, 0)
    assert done.wait() == 0, done.said()
    result = json.loads(done.said())
    assert result["saved"] >= 16
    assert result["orphans"] >= 1  # so some kills did fall inside a save


def test_checkpoints_of_stopped_runs_do_not_push_regular_ones_out(tmp_path):
    for iteration in (10, 20, 21, 22, 30, 33):
        save(tmp_path, iteration, {"w": torch.zeros(3)}, {}, keep=2, every=10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000020", "00000030", "00000033"]
