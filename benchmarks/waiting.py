"""One photo's network while other programs use the cores: how long threads of OpenMP spin when they wait.

    python -m benchmarks waiting [--rounds 3] [--seconds 6] [--out waiting.json]

Threads that share a product wait for each other at its end, and by default they wait by spinning. On a machine that
does nothing else that is quickest. Beside other programs a spinning thread takes the core that its neighbour needs.
Each choice is a fresh process, for it is read when the library of OpenMP is loaded; choices take turns, alone and
beside a busy loop for each core, and all must give the same answer to the bit.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import machine
from lookharder.cli import SPINS
from lookharder.files import write_json

CHOICES = {
    "default": {},
    **{
        f"GOMP_SPINCOUNT={turns}": {"GOMP_SPINCOUNT": turns}
        for turns in ("1000", SPINS, "30000", "100000")
    },
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
}
FORWARDS = """
import hashlib, json, statistics, sys, time
import torch
from lookharder.chain import Chain, find
from lookharder.seeding import torch_generator

network = Chain.load(find(sys.argv[1])).network.eval()
config, seconds = network.config, []
side = 16 * config.patch_size
x = torch.randn(1, config.in_channels, side, side, generator=torch_generator("waiting"))
t, y = torch.tensor([500]), torch.tensor([config.num_classes])
with torch.inference_mode():
    for _ in range(5):
        answer = network(x, t, y)
    end = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < end:
        begin = time.perf_counter()
        network(x, t, y)
        seconds.append(time.perf_counter() - begin)
digest = hashlib.sha256(answer.numpy().tobytes()).hexdigest()
print(json.dumps({"median": statistics.median(seconds), "forwards": len(seconds), "answer": digest}))
"""


def measure(model: str, seconds: float, choice: dict[str, str]) -> dict[str, float | str]:
    """Forwards of a fresh process for so many seconds."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))
    } | choice
    line = [sys.executable, "-c", FORWARDS, model, str(seconds)]
    done = subprocess.run(line, check=True, env=environment, stdout=subprocess.PIPE)
    found: dict[str, float | str] = json.loads(done.stdout)
    return found


def run(
    *,
    model: str = "sight",
    rounds: int = 3,
    seconds: float = 6.0,
    out: Path = Path("waiting.json"),
) -> None:
    result: dict[str, object] = {
        "what": "seconds of one forward, all cores, median of a process's, by round",
        "model": model,
        **machine(),
    }
    answers = set()
    for beside in (0, os.cpu_count() or 1):
        loops = [
            subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(beside)
        ]
        try:
            medians: dict[str, list[float]] = {name: [] for name in CHOICES}
            for _ in range(rounds):
                for name, choice in CHOICES.items():
                    found = measure(model, seconds, choice)
                    medians[name].append(float(found["median"]))
                    answers.add(found["answer"])
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()
        result[f"beside {beside} busy loops"] = medians
        for name, values in medians.items():
            shown = "  ".join(f"{1e3 * value:8.1f}" for value in values)
            print(f"beside {beside} busy loops  {name:26}{shown}  ms")
    assert len(answers) == 1, "the choice changes the answer"
    write_json(out, result)
