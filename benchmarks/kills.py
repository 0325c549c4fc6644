"""Many pictures predicted by ranks that are killed at random and started again, beside one process left alone.

    python -m benchmarks kills [--pictures 10000] [--times 100] [--ranks 2] [--place /dev/shm] [--out kills.json]

kill -9 falls on a random rank each time that about one part in `times` of the pictures has been written, so that the
blows lie all along the run; the rank is started again beside the others. In the end every picture must have one line in
`predictions.jsonl`, in order, and every file the bytes of that of the undisturbed process.
"""

import json
import multiprocessing
import os
import random
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks.harness import machine
from lookharder.files import write_json

FORKS = multiprocessing.get_context("forkserver")
SIDE = 16  # of a picture, pixels
SAID = ("seconds",)  # of a record: how long it took, which two runs do not share


def predict(line: list[str], rank: int, size: int) -> None:
    """One process of a run."""
    from lookharder.cli import main

    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size)}
    raise SystemExit(main(line))


def start(place: Path, out: str, rank: int = 0, size: int = 1) -> ForkServerProcess:
    options = "--model tiny --steps 1 --resolution 16 --outputs array --format npy --quiet"
    line = ["predict", "depth", str(place / "photos"), "--out", str(place / out), *options.split()]
    process = FORKS.Process(target=predict, args=(line, rank, size))
    process.start()
    return process


def written(out: Path) -> int:
    return sum(1 for _ in out.glob("*.npy"))


def disturb(place: Path, pictures: int, times: int, ranks: int) -> int:
    """A run of ranks that are killed; how often one was."""
    dice, kills = random.Random(0), 0
    processes = [start(place, "out", rank, ranks) for rank in range(ranks)]
    blows = sorted(dice.uniform(0, pictures) for _ in range(times))
    while any(process.exitcode != 0 for process in processes):
        alive = [rank for rank in range(ranks) if processes[rank].is_alive()]
        if alive and kills < times and written(place / "out") >= blows[kills]:
            victim = processes[dice.choice(alive)]
            victim.kill()
            victim.join()
            kills += victim.exitcode == -9
        for rank, process in enumerate(processes):
            if process.exitcode == -9:
                processes[rank] = start(place, "out", rank, ranks)
            elif process.exitcode not in (None, 0):
                raise SystemExit(f"rank {rank} ended with {process.exitcode}")
        time.sleep(dice.uniform(0, 0.05))
    return kills


def records(out: Path) -> list[dict[str, object]]:
    lines = (out / "predictions.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in SAID} for line in lines]


def run(
    *,
    pictures: int = 10_000,
    times: int = 100,
    ranks: int = 2,
    place: Path | None = None,
    out: Path = Path("kills.json"),
) -> None:
    FORKS.set_forkserver_preload(["lookharder.predict.files.batch", "lookharder.cli.predict"])
    with TemporaryDirectory(dir=place) as name:
        work = Path(name)
        (work / "photos").mkdir()
        for i in range(pictures):
            pixels = np.random.default_rng(i).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            Image.fromarray(pixels).save(work / "photos" / f"{i}.png")
        began = time.perf_counter()
        alone = start(work, "alone")
        alone.join()
        assert alone.exitcode == 0
        undisturbed = time.perf_counter() - began
        kills = disturb(work, pictures, times, ranks)
        disturbed = time.perf_counter() - began - undisturbed
        ours, theirs = (
            {path.name: path.read_bytes() for path in (work / side).glob("*.npy")}
            for side in ("out", "alone")
        )
        found, wanted = records(work / "out"), records(work / "alone")
        names = [record["name"] for record in found]
        left = [path.name for path in (work / "out").glob(".*")]
        result = {
            "what": "pictures predicted by ranks that are killed and started again, beside one process left alone",
            "pictures": pictures,
            "ranks": ranks,
            "kills": kills,
            "lost": len({record["name"] for record in wanted} - set(names)),
            "twice": len(names) - len(set(names)),
            "files_that_differ": sum(ours.get(name) != theirs[name] for name in theirs),
            "records_that_differ": sum(a != b for a, b in zip(found, wanted, strict=False)),
            "files_left": len(left) + len(set(ours) - set(theirs)),
            "seconds": {"alone": undisturbed, "killed": disturbed},
            **machine(),
        }
        write_json(out, result)
    print(json.dumps(result, indent=2))
