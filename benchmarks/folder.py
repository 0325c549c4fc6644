"""Pictures a second of a folder, and the share of the time that is not the network's.

    python -m benchmarks folder [--pictures 32] [--rounds 3] [--out docs/results/folder.json]

A folder of 640 x 480 photos is predicted with all files of each answer, with arrays and colours, with arrays alone, and
as before with files written one after the other and before the next pictures are predicted (`in turn`). Sides take
turns; what they write of the same name must be equal, byte for byte. Reading the pictures to check them is counted.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.cold import make_photo
from benchmarks.harness import machine, take_turns
from benchmarks.overhead import Clock
from lookharder.chain import default_model
from lookharder.files import write_json
from lookharder.predict.files import batch
from lookharder.predict.files.folder import hold
from lookharder.predict.files.pictures import check
from lookharder.predict.files.questions import ask, named
from lookharder.predict.predictor import Predictor
from lookharder.visualize.answer_files import Writing

SIDES: dict[str, tuple[str, ...] | None] = {
    "all files, in turn": None,
    "all files": None,
    "array, vis": ("array", "vis"),
    "array": ("array",),
}


class InTurn:
    """In the place of a pool of threads: what is asked is done at once."""

    def __init__(self, workers: int) -> None:
        self.map = map

    def __enter__(self) -> "InTurn":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def submit(self, work: Any, *given: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(*given))
        return done


@contextmanager
def pools(kind: Any) -> Iterator[None]:
    """Another kind of pool of threads in `batch`."""
    usual = batch.ThreadPoolExecutor
    batch.ThreadPoolExecutor = kind or usual  # type: ignore[misc]
    try:
        yield
    finally:
        batch.ThreadPoolExecutor = usual  # type: ignore[misc]


def run(*, pictures: int = 32, rounds: int = 3, out: Path = Path("folder.json")) -> None:
    predictor = Predictor.from_pretrained(default_model("depth"), "cpu")
    task = predictor.chain.task("depth")
    forward = predictor.chain.network.forward
    clocks = {side: Clock("cpu") for side in SIDES}
    with TemporaryDirectory() as name:
        work = Path(name)
        (work / "photos").mkdir()
        for i in range(pictures):
            make_photo(work / "photos" / f"{i:03}.jpg", 640, 480, seed=i)

        def predict(side: str) -> None:
            writing = Writing(outputs=SIDES[side])
            predictor.chain.network.forward = clocks[side](forward)
            with pools(InTurn if "in turn" in side else None), hold(work / side) as folder:
                asked = named(ask(task, [str(work / "photos")], {}), [])
                inputs, _ = check(task, asked)
                batch.begin(folder, inputs, unsure=False, writing=writing)
                made = batch.predict_files(predictor, inputs, inputs, folder, writing=writing)
                assert len(list(made)) == pictures
                batch.finish(folder, [("depth", each.name) for each in asked])

        times = take_turns(
            {side: lambda side=side: predict(side) for side in SIDES},
            rounds,
            warm_up=1,
            prepare=lambda side: shutil.rmtree(work / side, ignore_errors=True),
        )
        whole = work / "all files"
        for side in SIDES:
            for path in (work / side).glob("*.depth.*"):
                assert path.read_bytes() == (whole / path.name).read_bytes(), path
    turns = rounds + 1
    rows = {
        side: {
            "seconds": times.medians()[side],
            "pictures_a_second": pictures / times.medians()[side],
            "cpu_seconds_a_picture": times.cpu_medians()[side] / pictures,
            "outside_network": 1 - clocks[side].wall / turns / times.medians()[side],
        }
        for side in SIDES
    }
    result = {"pictures": pictures, "rounds": rounds, "rows": rows, "all": times.wall, **machine()}
    write_json(out, {"what": "depth of a folder of 640 x 480 photos, medians", **result})
    for side, row in rows.items():
        print(side, {name: round(value, 3) for name, value in row.items()})
