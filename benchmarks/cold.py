"""Seconds of whole commands, start-up included, before and after a change.

    python -m benchmarks cold BEFORE [--rounds 5] [--pictures 16] [--out cold.json]

BEFORE is a commit. Its code and that of this tree take turns at the same commands: the import, one 640 x 480 photo,
a folder of them, a photo of 12 megapixels. Every array and every pixel they write must be equal.
On a busy machine read the processor's time, which does not count the waiting.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import time
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks.harness import Times, machine
from lookharder.data.procedural import ProceduralWorld
from lookharder.files import write_json

ROOT = Path(__file__).parents[1]
GOALS = {"import": 0.1, "photo": 1.5, "each further photo": 0.1}  # seconds


def make_photo(path: Path, width: int, height: int, seed: int) -> None:
    """A scene of the embedded world, enlarged, with the noise of a camera."""
    scene = Image.fromarray(np.moveaxis(ProceduralWorld(128, seed)[0].image, 0, -1))
    enlarged = np.asarray(scene.resize((width, height), Image.Resampling.BICUBIC))
    noise = np.random.default_rng(seed).normal(0, 3, enlarged.shape)
    pixels = (enlarged + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=92)


def command(source: Path, work: Path, arguments: list[str]) -> tuple[float, float]:
    """Seconds of a fresh process, on the wall and of the processor."""
    environment = dict(os.environ, PYTHONPATH=str(source), PYTHONPYCACHEPREFIX=str(work / "cache"))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    quiet = subprocess.DEVNULL
    subprocess.run([sys.executable, *arguments], check=True, env=environment, stdout=quiet)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def compare(folder: Path, other: Path) -> None:
    """Both hold the same files, and these the same values."""
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    for name in names:
        if name.endswith(".npy"):
            np.testing.assert_array_equal(np.load(folder / name), np.load(other / name))
        elif name.endswith(".png"):
            ours, theirs = Image.open(folder / name), Image.open(other / name)
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), name)


def run(
    before: str,
    *,
    rounds: int = 5,
    pictures: int = 16,
    task: str = "depth",
    out: Path = Path("cold.json"),
) -> None:
    with TemporaryDirectory() as name:
        work = Path(name)
        sources = {"before": work / "source" / "src", "after": ROOT / "src"}
        archive = ["git", "-C", str(ROOT), "archive", before, "src"]
        stored = subprocess.run(archive, check=True, stdout=subprocess.PIPE).stdout
        with tarfile.open(fileobj=BytesIO(stored)) as tree:
            tree.extractall(work / "source", filter="data")
        (work / "photos").mkdir()
        for i in range(pictures):
            make_photo(work / "photos" / f"{i:03}.jpg", 640, 480, seed=i)
        make_photo(work / "large.jpg", 4000, 3000, seed=0)

        rows = {}
        for case, given in {
            "import": None,
            "photo": "photos/000.jpg",
            "folder": "photos",
            "large": "large.jpg",
        }.items():
            folders = {side: work / f"{case}-{side}" for side in sources}
            times = Times(wall={side: [] for side in sources}, cpu={side: [] for side in sources})
            for turn in range(-1, rounds):  # the first fills the caches of bytecode
                for side, source in sources.items():
                    line = ["-c", "import lookharder"]
                    if given is not None:
                        shutil.rmtree(folders[side], ignore_errors=True)
                        line = [
                            "-m",
                            "lookharder",
                            "predict",
                            task,
                            str(work / given),
                            "--out",
                            str(folders[side]),
                        ]
                    wall, cpu = command(source, work, line)
                    if turn >= 0:
                        times.wall[side].append(wall)
                        times.cpu[side].append(cpu)
            if given is not None:
                compare(*folders.values())
            rows[case] = {
                "seconds": times.medians(),
                "cpu_seconds": times.cpu_medians(),
                "all_cpu": times.cpu,
            }
            print(
                case,
                {side: round(value, 2) for side, value in times.cpu_medians().items()},
                flush=True,
            )
        for side in sources:
            one, many = (rows[case]["cpu_seconds"][side] for case in ("photo", "folder"))
            rows.setdefault("each further photo", {"cpu_seconds": {}})["cpu_seconds"][side] = (
                many - one
            ) / (pictures - 1)
        result = {
            "what": "seconds of whole commands, medians; arrays and pixels written are equal",
            "before": before,
            "task": task,
            "pictures": pictures,
            "rounds": rounds,
            "goals": GOALS,
            "rows": rows,
            **machine(),
        }
        write_json(out, result)
    print(json.dumps(rows["each further photo"]), "->", out)
