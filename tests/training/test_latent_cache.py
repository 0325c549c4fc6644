"""Cached training inputs are those that would be encoded anew; whatever stops the writer, the folder ends the same."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from lookharder.autoencoder import KL, Autoencoder, KLConfig, Pixel, Tiny
from lookharder.autoencoder.base import weights_digest
from lookharder.chain import Chain, ChainConfig, routes
from lookharder.cli import main
from lookharder.config import to_json
from lookharder.data.augment import mirror
from lookharder.data.example import Batch, Example, collate
from lookharder.data.latents import LatentSet, read_manifest, verify
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import DataConfig, open_data, open_spec
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.errors import InputError
from lookharder.models.dit import DiT, DiTConfig
from lookharder.predict.info import fingerprint
from lookharder.seeding import torch_generator
from lookharder.tasks.base import SOURCES
from lookharder.tasks.registry import GENERALIST, TASKS
from lookharder.training.latent_cache import (
    CacheConfig,
    cache_latents,
    moments,
    open_autoencoder,
)
from lookharder.training.loop import TrainConfig, start, train
from lookharder.training.teaching import check_teaching

COUNT = 7
CONFIG = CacheConfig(spec="procedural:7:6", size=32, shard=3, batch_size=2)


@cache
def world() -> list[Example]:
    return [ProceduralWorld(32, 6)[i] for i in range(COUNT)]


def system(codec: Autoencoder) -> Chain:
    model = DiTConfig(
        input_size=32 // codec.factor,
        patch_size=2,
        in_channels=(SOURCES + 1) * codec.channels,
        out_channels=codec.channels,
        hidden_size=32,
        depth=1,
        num_heads=2,
        num_classes=16,
        learn_sigma=False,
        routes=routes(GENERALIST),
    )
    config = ChainConfig(
        model=model,
        autoencoder=codec.config(),
        tasks=GENERALIST,
        schedule=NoiseSchedule(name="linear"),
        prediction="x0",
        resolution=32,
    )
    return Chain(config, DiT(model, generator=torch_generator(0)), codec)


def write(
    out: Path, codec: Autoencoder, task: str = "depth", config: CacheConfig = CONFIG, **more
) -> LatentSet:
    return cache_latents(world(), out, config, task=TASKS[task](), codec=codec, **more)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("codec", [Pixel(factor=4), Tiny.load()], ids=["pixel", "tiny"])
def test_what_is_read_is_what_would_be_encoded(tmp_path: Path, codec: Autoencoder, task: str):
    latents = write(tmp_path / "cache", codec, task)
    assert len(latents) == COUNT and verify(tmp_path / "cache") == []
    chain = system(codec)
    for begin in (0, 2, 3, 5, 6):  # as they were encoded together
        end = min(begin + 2, begin // 3 * 3 + 3, COUNT)
        part = world()[begin:end]
        fresh = collate([*part, *map(mirror, part)])
        with torch.no_grad():
            target, known = chain.target(chain.task(task), fresh)
            condition = chain.condition(chain.task(task), fresh)
        labels = chain.labels(chain.task(task), fresh)
        indices = [*range(begin, end)] * 2
        flips = [False] * len(part) + [True] * len(part)
        found = latents.group(indices, flips)
        for got, wanted in zip(found[:3], (target, known, condition), strict=True):
            assert got.dtype == wanted.dtype and torch.equal(got, wanted)
        stub = Batch(name=fresh.name, image=found[0], label=found[3])
        assert torch.equal(chain.labels(chain.task(task), stub), labels)
    alone = latents.item(4, True)
    for got, wanted in zip(alone, latents.group([4], [True]), strict=True):
        assert torch.equal(got, wanted[0])


def test_groups_come_in_any_order(tmp_path: Path):
    latents = write(tmp_path, Pixel(), "flow")
    indices, flips = [6, 0, 3, 3, 5], [True, False, True, False, False]
    for together, one in zip(
        latents.group(indices, flips),
        zip(*(latents.item(i, f) for i, f in zip(indices, flips, strict=True)), strict=True),
        strict=True,
    ):
        assert torch.equal(together, torch.stack(one))
    plain, flipped = latents.item(2, False)[0], latents.item(2, True)[0]
    u, mirrored = (Pixel().decode(one)[0, 0] for one in (plain, flipped))
    assert torch.equal(mirrored, -u.flip(-1)) and u.abs().max() > 0  # red is u
    for bad in (-1, 7):
        with pytest.raises(IndexError):
            latents.item(bad, False)


class Stopped(Exception):
    pass


def stopping(after: int) -> Callable[[int], None]:
    """A tick that fails once so many examples are encoded."""
    seen = 0

    def tick(count: int) -> None:
        nonlocal seen
        seen += count
        if seen >= after:
            raise Stopped

    return tick


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("latents") / "whole"
    write(folder, Tiny.load())
    return folder


@pytest.mark.parametrize("after", range(1, COUNT + 1))
def test_stopped_and_resumed_is_never_stopped(tmp_path: Path, whole: Path, after: int):
    out, codec = tmp_path / "cache", Tiny.load()
    with pytest.raises(Stopped):
        write(out, codec, tick=stopping(after))
    finished = (0 if after <= 3 else 3) if after <= 6 else 6  # a tick comes before its shard
    assert len(read_manifest(out)[1]) == finished // 3
    names = {path.name for path in out.iterdir()}
    assert names == {"manifest.json"} | {f"shard-{n:05d}.npy" for n in range(finished // 3)}
    with pytest.raises(InputError, match=rf"{finished // 3} of 3 shards.*resumes"):
        LatentSet(out)
    assert [str(d.file.name) for d in verify(out)] == [
        f"shard-{n:05d}.npy" for n in range(finished // 3, 3)
    ]
    started: list[int] = []
    write(out, codec, start=started.append)
    assert started == [finished]
    assert contents(out) == contents(whole)


def test_what_a_killed_writer_leaves_is_removed(tmp_path: Path, whole: Path):
    """A file half written, a shard that no manifest names yet, a manifest half replaced."""
    out = tmp_path / "cache"
    with pytest.raises(Stopped):
        write(out, Tiny.load(), tick=stopping(5))
    (out / ".shard-00001.abcd1234.npy").write_bytes(b"half")
    (out / ".manifest.abcd1234.json").write_text("{")
    (out / "shard-00001.npy").write_bytes((whole / "shard-00001.npy").read_bytes()[:-9])
    write(out, Tiny.load())
    assert contents(out) == contents(whole)


@pytest.mark.parametrize("victims", [(0,), (1,), (2,), (0, 2)])
def test_damaged_shards_are_encoded_again(tmp_path: Path, whole: Path, victims: tuple[int, ...]):
    out = tmp_path / "cache"
    shutil.copytree(whole, out)
    for victim in victims:
        path = out / f"shard-{victim:05d}.npy"
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    started: list[int] = []
    write(out, Tiny.load(), start=started.append)
    assert started == [COUNT - sum((3, 3, 1)[victim] for victim in victims)]
    assert contents(out) == contents(whole)


def test_every_flipped_bit_and_cut_is_named(tmp_path: Path, whole: Path):
    rng = np.random.default_rng(0)
    for name, data in contents(whole).items():
        out = tmp_path / name
        shutil.copytree(whole, out)
        few = len(data) // 4 if name == "manifest.json" else 8
        places = rng.permutation(len(data))[:few].tolist()
        changes = []
        for place in places:
            changed = bytearray(data)
            changed[place] ^= 1 << int(rng.integers(8))
            changes.append(bytes(changed))
        for changed in [*changes, data[:-1], data[: len(data) // 2], b"", data + b"\n"]:
            (out / name).write_bytes(changed)
            (damage,) = verify(out)
            assert damage.file == out / name
        (out / name).unlink()
        (damage,) = verify(out)
        assert damage.file == out / name and "no" in damage.actual.lower()


def test_a_flipped_bit_is_not_trained_on(tmp_path: Path, whole: Path):
    out = tmp_path / "flipped"
    shutil.copytree(whole, out)
    path = sorted(out.glob("shard-*.npy"))[0]
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="SHA-256"):
        LatentSet(out).item(0, False)


def test_a_cut_shard_is_refused_when_it_is_opened(tmp_path: Path, whole: Path):
    out = tmp_path / "cache"
    shutil.copytree(whole, out)
    path = out / "shard-00002.npy"
    data = path.read_bytes()
    for changed in (data[:-1], data[:100], b"", data + b"0"):
        path.write_bytes(changed)
        with pytest.raises(InputError, match=rf"shard-00002.npy: got {len(changed)} bytes"):
            LatentSet(out)
    path.write_bytes(b"\x93NUMPX" + data[6:])
    with pytest.raises(InputError, match=r"shard-00002.npy: got .*SHA-256"):
        LatentSet(out).item(6, False)


@pytest.mark.slow  # processes that import torch
def test_two_processes_write_what_one_does(tmp_path: Path, whole: Path):
    world = ProceduralWorld(32, 6, count=COUNT)
    config = replace(CONFIG, workers=2)
    cache_latents(world, tmp_path, config, task=TASKS["depth"](), codec=Tiny.load())
    assert contents(tmp_path) == contents(whole)


def test_another_set_is_refused(tmp_path: Path, whole: Path):
    out = tmp_path / "cache"
    shutil.copytree(whole, out)
    for codec, task, config, words in (
        (Pixel(), "depth", CONFIG, "autoencoder.*weights"),
        (Tiny.load(), "flow", CONFIG, "task"),
        (Tiny.load(), "depth", replace(CONFIG, spec="procedural:7:8"), "spec"),
        (Tiny.load(), "depth", replace(CONFIG, dtype="float16"), "dtype"),
    ):
        with pytest.raises(InputError, match=rf"--out: .*other \[.*{words}"):
            write(out, codec, task, config)
    assert contents(out) == contents(whole)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "diary.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        write(tmp_path / "other", Pixel())
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["diary.txt"]


def test_latents_serve_their_own_task_and_autoencoder(whole: Path):
    latents = LatentSet(whole)
    codec, task = Tiny.load(), TASKS["depth"]()
    chain = system(codec)
    own = codec.config(), weights_digest(codec)
    latents.require(to_json(chain.task("depth")), *own)
    latents.require(to_json(replace(task, merging="mean")), *own)  # of answers alone
    with pytest.raises(InputError, match="whole: weights of the autoencoder"):
        latents.require(to_json(task), codec.config(), "0" * 64)
    with pytest.raises(InputError, match=r"whole: task: got .*linear.*log"):
        latents.require(to_json(replace(task, space="log")), codec.config())
    with pytest.raises(InputError, match="whole: autoencoder"):
        latents.require(to_json(task), Pixel().config())
    opened = open_data(DataConfig(spec=f"latents:{whole}"))
    assert isinstance(opened, LatentSet) and len(opened) == COUNT
    with pytest.raises(InputError, match="latents without pictures"):
        open_spec(f"latents:{whole}", 32)[0]
    with pytest.raises(InputError, match=r"manifest.json: got no such file"):
        open_data(DataConfig(spec=f"latents:{whole}/nowhere"))


def test_another_autoencoder_is_another_model():
    first, second = system(Tiny.load()), system(Tiny.load())
    assert fingerprint(first) == fingerprint(second)
    with torch.no_grad():
        next(second.autoencoder.parameters()).add_(1e-3)
    assert fingerprint(first) != fingerprint(second)


def test_latents_of_other_files_are_refused(tmp_path: Path):
    config = replace(CONFIG, source="of some files")
    write(tmp_path / "c", Pixel(), config=config)
    assert LatentSet(tmp_path / "c").facts.source == "of some files"
    with pytest.raises(InputError, match=r"latents of other \['source'\]"):
        write(tmp_path / "c", Pixel(), config=replace(CONFIG, source="of others"))


def test_half_precision_is_rounded_once(tmp_path: Path, whole: Path):
    half = write(tmp_path, Tiny.load(), config=replace(CONFIG, dtype="float16"))
    for got, full in zip(half.item(5, True), LatentSet(whole).item(5, True), strict=True):
        assert torch.equal(got, full.half().float() if full.is_floating_point() else full)


def test_examples_of_two_sizes_are_refused(tmp_path: Path):
    mixed = [world()[0], world()[1], world()[2], ProceduralWorld(64, 6)[3]]
    with pytest.raises(InputError, match=r"data: got target .*one size"):
        cache_latents(mixed, tmp_path, CONFIG, task=TASKS["depth"](), codec=Pixel())
    with pytest.raises(InputError, match="which is empty"):
        empty: list[Example] = []
        cache_latents(empty, tmp_path / "e", CONFIG, task=TASKS["depth"](), codec=Pixel())


def test_moments_of_a_posterior(tmp_path: Path, random_vae: Path):
    codec = KL.load(KLConfig(source=str(random_vae)))
    latents = write(tmp_path, codec, "generation", replace(CONFIG, batch_size=4))
    assert latents.facts.moments and latents.facts.target == (1, 8, 4, 4)
    fresh = collate([*world()[:3], *map(mirror, world()[:3])]).image
    with torch.no_grad():
        mean = codec.encode(fresh)
        drawn = torch.cat(
            [codec.encode(fresh[i : i + 1], torch_generator("draw", i)) for i in range(6)]
        )
    indices, flips = [0, 1, 2] * 2, [False] * 3 + [True] * 3
    target, _, condition, label = latents.group(indices, flips)
    assert torch.equal(target[:, 0], mean)
    assert condition.shape == (6, 2 * 4, 4, 4) and not condition.any()
    assert label.tolist() == [example.label for example in world()[:3]] * 2
    generators = [torch_generator("draw", i) for i in range(6)]
    target = latents.group(indices, flips, generators)[0]
    assert not torch.equal(target[:, 0], mean)
    torch.testing.assert_close(target[:, 0], drawn, rtol=1e-4, atol=1e-5)


def test_a_digest_of_weights_sees_every_bit():
    tiny = Tiny.load()
    before = weights_digest(tiny)
    assert before == weights_digest(Tiny.load()) and weights_digest(Pixel()) is None
    bits = tiny.mean.view(torch.int32)
    bits[0] ^= 1
    assert weights_digest(tiny) != before
    images = torch.rand(2, 3, 8, 8, generator=torch_generator(3))
    assert torch.equal(moments(Pixel(), images), Pixel().encode(images))


def test_autoencoders_by_name(tmp_path: Path, random_vae: Path):
    assert open_autoencoder("pixel") == Pixel()
    Tiny.load().save(tmp_path / "own")
    for name in ("tiny", str(tmp_path / "own")):
        assert open_autoencoder(name).config() == Tiny.load().config()
    assert isinstance(open_autoencoder(str(random_vae)), KL)
    with pytest.raises(InputError, match="--autoencoder: got 'nobody'"):
        open_autoencoder("nobody")


def test_the_verbs(tmp_path: Path, random_model: Path, capsys: pytest.CaptureFixture):
    out = tmp_path / "latents"
    line = f"cache --data procedural:3:6 --task flow --model {random_model} --shard 2 --out {out}"
    for _ in range(2):  # the second finds it finished
        assert main(line.split()) == 0
        assert f"3 examples in both flips, 2 shards, verified: latents:{out}" in (
            capsys.readouterr().out
        )
    facts = LatentSet(out).facts
    assert (facts.size, facts.task["name"], facts.shard) == (32, "flow", 2)
    chain = Chain.load(random_model)
    LatentSet(out).require(to_json(chain.task("flow")), chain.autoencoder.config())
    assert main(f"check --data latents:{out}".split()) == 0
    assert capsys.readouterr().out == f"latents:{out}: 3 examples, no faults\n"
    victim = out / "shard-00001.npy"
    victim.write_bytes(victim.read_bytes()[:-1])
    assert main(f"check --data latents:{out}".split()) == 2
    first, last = capsys.readouterr().out.splitlines()
    assert str(victim) in first and "allowed: SHA-256" in first and "1 fault" in last
    own = f"cache --data procedural:1 --task depth --out {tmp_path / 'own'} --size 32 --half"
    assert main([*own.split(), "--autoencoder", "pixel"]) == 0
    assert LatentSet(tmp_path / "own").facts.dtype == "float16"
    for more, words in (
        (["--autoencoder", "pixel", "--model", "tiny"], "--model, --autoencoder"),
        (["--autoencoder", "nobody"], "nobody"),
        (["--shard", "0"], "--shard"),
        (["--size", "36", "--autoencoder", "tiny"], "sides that divide by 8"),
        (["--autoencoder", "pixel"], "latents of other ['spec'"),
    ):
        line = own.replace("procedural:1", "procedural:2")
        capsys.readouterr()
        assert main([*line.split(), *more]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "mix", [{"generation": 1.0}, {"generation": 1.0, "depth": 1.5}], ids=lambda mix: "-".join(mix)
)
def test_training_on_latents_is_training_on_what_they_were_made_of(
    tmp_path: Path, mix: dict[str, float]
):
    """Generation mirrors alone by itself; for depth the augmentation that latents cannot have is switched off."""
    latents = {t: write(tmp_path / t, Pixel(factor=4), t) for t in ("generation", "depth")}
    recolour = False if "depth" in mix else None
    config = TrainConfig(iterations=3, batch_size=5, mix=mix, recolour=recolour)
    runs = []
    for datasets in ({"generation": world(), "depth": world()}, latents):
        chain = system(Pixel(factor=4))
        state = start(chain, config)
        steps = list(train(config, state, chain, datasets))
        runs.append(([(s.losses, s.grad_norm) for s in steps], chain.network.state_dict()))
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(value, runs[1][1][name]) for name, value in runs[0][1].items())
    assert runs[0][0][0] != runs[0][0][1]
    wrong = {"generation": latents["depth"], "depth": latents["generation"]}
    with pytest.raises(InputError, match=r"(depth|generation): task"):
        next(train(config, start(chain, config), chain, wrong))
    with pytest.raises(InputError, match=r"further_looks: got 0.5, allowed: 0 where"):
        check_teaching(replace(config, further_looks=0.5), chain, latents)
