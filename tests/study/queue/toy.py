"""Toy stages for workers in processes of their own: they write down who began and ended what, beside the ledger."""

import json
import os
import random
import signal
import time
from pathlib import Path

FACTS = {  # of a measurement, besides its metrics
    **dict.fromkeys(("params", "active_params", "train_images"), 1),
    **dict.fromkeys(
        ("train_macs", "train_macs_paper", "inference_macs", "inference_macs_paper"), 1.0
    ),
    **dict.fromkeys(("task", "machine", "protocol"), "toy"),
    "seconds": 0.0,
    "versions": {},
}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def say(folder: Path, word: str) -> None:
    handle = os.open(folder / "events", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{word} {os.getpid()}\n".encode())
    os.close(handle)


def count(folder, config, needs):
    """1 + the sum over what it needs: of a graph, a number that only the right order gives."""
    events = folder / "events"
    lines = events.read_text().splitlines() if events.exists() else []
    last = (lines or ["end 0"])[
        -1
    ].split()  # one who was killed may have made the file, and said nothing
    if last[0] == "begin" and int(last[1]) != os.getpid() and alive(int(last[1])):
        say(folder, "overlap")
    say(folder, "begin")
    time.sleep(random.uniform(0, config["seconds"]))
    total = 1 + sum(json.loads((n / "done.json").read_text())["result"]["total"] for n in needs)
    say(folder, "end")
    return {
        "total": total,
        **FACTS,
        "metrics": {
            "total": dict.fromkeys(("value", "low", "high"), total) | {"per_image": [total]}
        },
    }


def fail(folder, config, needs):
    """Fails until it was tried so often."""
    say(folder, "begin")
    if (folder / "events").read_text().count("begin") <= config["failures"]:
        raise ValueError("not yet")
    return {}


def die(folder, config, needs):
    """Kills its worker."""
    os._exit(9)


def short(folder, config, needs):
    """Finds no memory, until the machine is mended."""
    say(folder, "begin")
    if not (folder / "mended").exists():
        raise MemoryError
    return {}


def killed(folder, config, needs):
    """Is killed, as where memory runs out, until the machine is mended."""
    say(folder, "begin")
    if not (folder / "mended").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return {}


STAGES = {"count": count, "fail": fail, "die": die, "short": short, "killed": killed}
