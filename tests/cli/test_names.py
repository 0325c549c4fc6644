"""Names of files in a locale whose encoding cannot say them: they are found, and written as UTF-8."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

VERBS = """
import json, sys
from lookharder.cli import main
print(json.dumps([main(line.split()) for line in sys.argv[1:]]))
"""
C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run(place: Path, *lines: str) -> tuple[list[int], str]:
    """Exit codes of command lines in the locale C, and what was said."""
    command = [sys.executable, "-c", VERBS, *lines]
    done = subprocess.run(command, cwd=place, env=os.environ | C, capture_output=True)
    said = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, said
    return json.loads(done.stdout.splitlines()[-1]), said


def test_names_that_the_locale_cannot_say(tmp_path: Path, random_model: Path):
    rng = np.random.default_rng(0)
    for folder in ("photos", "sét"):
        (tmp_path / folder).mkdir()
        for name in ("a", "ä"):
            pixels = rng.integers(0, 256, (32, 48, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{name}.png")
    for name in ("a", "ä"):
        np.save(tmp_path / "sét" / f"{name}_depth.npy", rng.uniform(1, 9, (32, 48)))
    (tmp_path / "list.jsonl").write_text('{"image": "photos/ä.png"}\n', encoding="utf-8")
    predict = f"predict depth photos --model {random_model} --out öut"
    evaluate = f"evaluate --model {random_model} --task depth --data folder:sét --out s.json"
    cache = f"cache --model {random_model} --task depth --data folder:sét --out öut/cache"
    train = "train smoke --set train.iterations=1 --set train.batch_size=2 --set device=cpu"
    train += ' --set train.mix={"depth":1.0} --set data.depth.spec=folder:sét --out rün'
    codes, said = run(
        tmp_path,
        *(predict, predict, f"{predict} --seed 1"),
        *(f"{evaluate} --shard 0/2", f"{evaluate} --shard 1/2"),
        *(cache, cache, train, train),
        f"predict depth list.jsonl --model {random_model} --out other",
    )
    assert codes == [0] * 9 + [2], said
    assert "a name in ascii: got photos/\\xe4.png" in said
    lines = (tmp_path / "öut" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["a", "ä"]
    scores = json.loads((tmp_path / "s.json").read_text())
    assert [row["name"] for row in scores["rows"]] == ["a.png", "ä.png"]
    assert scores["data"] == "folder:sét"
