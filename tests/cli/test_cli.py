"""Every verb through the real entry point; every kind of bad input: exit code 2, one line, nothing written."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookharder import recipes
from lookharder.cli import main, parse
from lookharder.cli.parser import build
from lookharder.data.formats import read_flo, read_image, read_npy
from lookharder.predict.effort import Effort
from lookharder.predict.settings import Frontier, Row
from lookharder.training import run as run_module
from lookharder.training.distributed.runtime import Stop

RNG = np.random.default_rng(0)

FLAGS = {  # the command line grows on purpose
    "demo": "--count --device --help --model --out",
    "predict": "--antithetic --batch-size --budget --device --help --mask --members --model --noise-schedule --out "
    "--resolution --sampler --second --seed --spacing --steps --until",
    "train": "--dry-run --help --out --quiet --set",
    "evaluate": "--data --device --help --members --model --noise-schedule --out --sampler --seed "
    "--size --spacing --steps --task",
    "convert": "--autoencoder --from --heads --help --out",
    "upcycle": "--active --experts --help --no-renormalise --out --seed",
    "plot": "--help --out",
    "cache": "--autoencoder --batch-size --data --device --half --help --model --out --shard --size --task --workers",
    "check": "--data --help",
    "plan": "--answers --device --error --explain --help --inference --mfu --price --task --total --training",
    "study": "--dry-run --executor --help --only --out --preset --records --retry --slurm --workers",
    "inspect": "--data --device --help --members --out --resolution --seed --size --steps --task",
}


def photo(path: Path, height: int = 40, width: int = 56) -> Path:
    Image.fromarray(RNG.integers(0, 256, (height, width, 3), np.uint8)).save(path)
    return path


def stencil(path: Path, height: int = 40, width: int = 56, empty: bool = False) -> Path:
    values = np.zeros((height, width), np.uint8)
    values[height // 4 : height // 2, width // 4 : width // 2] = 0 if empty else 255
    Image.fromarray(values).save(path)
    return path


@pytest.fixture
def place(tmp_path: Path, random_model: Path) -> Path:
    """A folder of inputs, good and bad, and the model."""
    for name in ("a.png", "b.png", "c.jpg"):
        photo(tmp_path / name)
    photo(tmp_path / "other_size.png", 40, 57)
    photo(tmp_path / "dot.png", 1, 1)
    Image.fromarray(np.zeros((10, 20_000), np.uint8)).save(tmp_path / "wide.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:2000])
    (tmp_path / "text.png").write_text("not a picture\n")
    stencil(tmp_path / "mask.png")
    stencil(tmp_path / "empty_mask.png", empty=True)
    stencil(tmp_path / "other_mask.png", 20, 20)
    (tmp_path / "nothing").mkdir()
    (tmp_path / "file").write_text("in the way\n")
    (tmp_path / "model").symlink_to(random_model)
    return tmp_path


def fails(capsys: pytest.CaptureFixture, place: Path, line: str, *words: str) -> None:
    """Run a line in `place`; it must exit with 2, say one line that has these words, and write nothing."""
    before = sorted(place.rglob("*"))
    with working_in(place):
        code = main(line.split())
    said = capsys.readouterr()
    assert code == 2, said
    assert said.out == ""
    assert said.err.count("\n") == 1 and said.err.startswith("lookharder: error: ")
    assert ": got " in said.err and ", allowed: " in said.err
    for word in words:
        assert word in said.err
    assert sorted(place.rglob("*")) == before


@contextmanager
def working_in(folder: Path):
    former = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(former)


PREDICT = "predict depth --model model --out out"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{PREDICT} a.png missing.png", ("missing.png", "no such file")),
        (f"{PREDICT} a.png cut.png", ("cut.png",)),
        (f"{PREDICT} a.png text.png", ("text.png", "PNG")),
        (f"{PREDICT} a.png dot.png", ("dot.png", "1 x 1")),
        (f"{PREDICT} a.png wide.png", ("wide.png", "20000 x 10")),
        (f"{PREDICT} nothing", ("nothing", "without images")),
        (f"{PREDICT} *.tiff", ("*.tiff", "matches nothing")),
        (f"{PREDICT} a.png --steps 0", ("--steps", "'0'")),
        (f"{PREDICT} a.png --steps 1001", ("--steps", "1001", "1 to 1000")),
        (f"{PREDICT} a.png --steps many", ("--steps", "'many'")),
        (f"{PREDICT} a.png --members 0", ("--members", "'0'")),
        (f"{PREDICT} a.png --batch-size 0", ("--batch-size", "'0'")),
        (f"{PREDICT} a.png --resolution 3", ("--resolution", "3", "8 to")),
        (f"{PREDICT} a.png --resolution 99999", ("--resolution", "99999")),
        (f"{PREDICT} a.png --seed -1", ("--seed", "'-1'")),
        (f"{PREDICT} a.png --second b.png", ("--second", "b.png", "depth")),
        (f"{PREDICT} a.png --device quantum", ("--device", "quantum", "cpu")),
        (f"{PREDICT} a.png --budget 3", ("--budget", "'3'", "GMACs")),
        (f"{PREDICT} a.png --budget 2s", ("--budget", "2 s", "no table")),
        (f"{PREDICT} a.png --budget 2s --steps 3", ("--steps", "3", "nothing beside --budget")),
        (f"{PREDICT} a.png --until soon", ("--until", "'soon'")),
        (f"{PREDICT} a.png --sampler leapfrog", ("--sampler", "leapfrog", "dpmpp-2m")),
        (f"{PREDICT} a.png --spacing random", ("--spacing", "random", "trailing")),
        (f"{PREDICT} a.png --noise-schedule square", ("--noise-schedule", "cosine")),
        ("predict depth --model model a.png", ("--out", "got nothing")),
        ("predict depth --model model --out out", ("IMAGE", "got nothing")),
        ("predict depth --model model a.png --out", ("--out", "got nothing")),
        ("predict depth a.png --model model --out file", ("--out", "file")),
        ("predict depth a.png --model model --out file/below", ("--out", "file/below")),
        ("predict depth a.png --model nobody --out out", ("--model", "nobody")),
        ("predict depth a.png --model nothing --out out", ("model", "nothing")),
        ("predict colour a.png --model model --out out", ("TASK", "colour", "depth", "amodal")),
        ("predict flow a.png --model model --out out", ("--second", "0 images", "1")),
        (
            "predict flow a.png b.png --second b.png --model model --out out",
            ("--second", "1 images", "2, one for each"),
        ),
        (
            "predict flow a.png --second other_size.png --model model --out out",
            ("--second other_size.png", "57 x 40", "56 x 40"),
        ),
        ("predict flow a.png --second cut.png --model model --out out", ("cut.png",)),
        ("predict amodal a.png --model model --out out", ("--mask", "0 images")),
        (
            "predict amodal a.png --mask other_mask.png --model model --out out",
            ("--mask other_mask.png", "20 x 20"),
        ),
        (
            "predict amodal a.png --mask empty_mask.png --model model --out out",
            ("--mask empty_mask.png", "an empty mask"),
        ),
        ("train nonsense --out run", ("RECIPE", "nonsense", "smoke")),
        ("train smoke --set train.iterations --out run", ("--set", "train.iterations")),
        ("train smoke --set train.nonsense=1 --out run", ("--set", "train.nonsense")),
        ("train smoke --set train.iterations=0.5 --out run", ("--set", "train.iterations")),
        ("train smoke --set train.iterations=0 --out run", ("iterations",)),
        ("train smoke --out file", ("--out", "file")),
        ("train smoke --out .", ("--out",)),
        ("train smoke", ("--out", "got nothing")),
        (
            "evaluate --model model --task depth --data nobody:x --out e.json",
            ("nobody", "hypersim"),
        ),
        ("evaluate --model model --task depth --data folder:nowhere --out e.json", ("nowhere",)),
        (
            "evaluate --model model --task depth --data procedural:0 --out e.json",
            ("--data", "COUNT"),
        ),
        ("evaluate --model model --task colour --data procedural:2 --out e.json", ("--task",)),
        ("evaluate --model model --task depth --data procedural:2 --out nothing", ("--out",)),
        ("evaluate --model model --task depth --data procedural:2 --out file/e.json", ("--out",)),
        (
            "evaluate --model model --task flow --data procedural:2 --steps 1001 --out e",
            ("--steps",),
        ),
        ("evaluate --model model --task depth --data procedural:2", ("--out",)),
        ("demo --model model --count 0", ("--count", "'0'")),
        ("demo --model model --out file", ("--out", "file")),
        ("fly --out x", ("VERB", "fly", "predict")),
        ("", ("VERB", "nothing")),
    ],
)
def test_bad_input_is_one_line_and_code_2(capsys, place, line, words):
    fails(capsys, place, line, *words)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder(capsys, place):
    (place / "nothing").chmod(0o500)
    fails(capsys, place, "predict depth a.png --model model --out nothing", "--out", "nothing")


def test_results_never_replace_inputs(capsys, place):
    photo(place / "a_depth.png")
    fails(
        capsys, place, "predict depth a.png a_depth.png --model model --out .", "--out", "a_depth"
    )


def test_command_itself_reports_without_traceback(place):
    run = subprocess.run(
        [
            *(
                sys.executable,
                "-c",
                "import sys; from lookharder.cli import main; sys.exit(main())",
            ),
            *("predict", "depth", "cut.png", "--model", "model", "--out", "out"),
        ],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1 and "Traceback" not in run.stderr
    assert not (place / "out").exists()


def test_help_of_every_verb_lists_its_flags(capsys):
    _, verbs = build()
    assert set(verbs) == set(FLAGS)
    for verb, parser in verbs.items():
        flags = [o for a in parser._actions for o in a.option_strings if o.startswith("--")]
        assert " ".join(sorted(flags)) == FLAGS[verb]
        with pytest.raises(SystemExit) as leaving:
            main([verb, "--help"])
        assert leaving.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: lookharder {verb}")
    for flag in ("--help", "--version"):
        with pytest.raises(SystemExit) as leaving:
            main([flag])
        assert leaving.value.code == 0


def test_images_and_options_in_any_order():
    args = parse(["predict", "depth", "a.png", "--steps", "2", "b.png", "--out", "o", "c.png"])
    assert (args.verb, args.image, args.steps) == ("predict", ["a.png", "b.png", "c.png"], 2)
    args = parse(["predict", "flow", "a", "b", "--second", "c", "--out", "o", "--second", "d"])
    assert args.second == ["c", "d"]


def test_predict_mixed_sizes_and_patterns(capsys, place):
    with working_in(place):
        code = main(f"{PREDICT} [a-b].png other_size.png c.jpg --members 2 --steps 1".split())
    assert code == 0
    assert "4 depth predictions" in capsys.readouterr().out
    lines = (place / "out" / "predictions.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [r["input"] for r in records] == ["a.png", "b.png", "other_size.png", "c.jpg"]
    for record in records:
        assert (record["steps"], record["members"], record["seed"]) == (1, 2, 0)
        assert all((place / "out" / file).exists() for file in record["files"].values())
        assert list(read_npy(place / "out" / record["files"]["array"]).shape) == record["shape"]


def test_predict_within_a_budget_says_what_it_chose(capsys, place):
    effort = Effort(steps=2, members=3)
    row = Row(task="depth", resolution=32, effort=effort, error=0.2, low=0.1, high=0.3)
    shutil.copytree(place / "model", place / "measured")
    Frontier(data="scenes", errors={"depth": "AbsRel"}, rows=(row,)).write(place / "measured")
    line = "predict depth --model measured --out out a.png other_size.png --budget 5GMACs"
    with working_in(place):
        assert main(line.split()) == 0
    assert "budget 5 GMACs: 2 steps x 3 draws" in capsys.readouterr().out
    lines = (place / "out" / "predictions.jsonl").read_text().splitlines()
    for record in map(json.loads, lines):
        assert (record["steps"], record["members"]) == (2, 3)
        assert record["macs"] <= 5e9
        assert "AbsRel 0.2" in record["choice"]
        assert (place / "out" / record["files"]["uncertainty"]).exists()


def test_predict_until_certain_records_the_draws_of_each(place):
    with working_in(place):
        assert main(f"{PREDICT} a.png b.png --until 1e-9 --members 5".split()) == 0
        assert main(f"{PREDICT} a.png b.png --until 1e9 --members 5 --sampler ddpm".split()) == 0
    lines = (place / "out" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["members"] for line in lines] == [2, 2]


def test_predict_flow_and_amodal(capsys, place):
    with working_in(place):
        pair = "predict flow a.png b.png --second b.png c.jpg --model model --out flow"
        assert main(pair.split()) == 0
        whole = "predict amodal a.png --mask mask.png --model model --out whole"
        assert main(whole.split()) == 0
    flow = read_flo(place / "flow" / "b_flow.flo")
    assert flow.shape == (2, 40, 56)
    assert (flow == read_npy(place / "flow" / "b_flow.npy")).all()
    assert read_npy(place / "whole" / "a_amodal.npy").dtype == np.bool_


def test_predictions_do_not_depend_on_company(place):
    with working_in(place):
        assert main(["predict", "depth", "a.png", "--model", "model", "--out", "one"]) == 0
        assert (
            main(
                [
                    "predict",
                    "depth",
                    "b.png",
                    "c.jpg",
                    "a.png",
                    "--model",
                    "model",
                    "--out",
                    "three",
                ]
            )
            == 0
        )
    alone, among = (read_npy(place / out / "a_depth.npy") for out in ("one", "three"))
    np.testing.assert_allclose(alone, among, atol=1e-5)


def test_evaluate_writes_scores_beside_trivial_ones(capsys, place):
    out = place / "scores" / "flow.json"
    line = f"evaluate --model {place}/model --task flow --data procedural:2:5 --size 32 --out {out}"
    assert main(line.split()) == 0
    scores = json.loads(out.read_text())
    assert len(scores["rows"]) == 2 and scores["protocol_hash"]
    assert scores["means"]["epe"]["low"] <= scores["means"]["epe"]["mean"]
    said = capsys.readouterr().out
    for word in ("epe", "zero", "lower", f"{scores['means']['epe']['mean']:.3f}"):
        assert word in said


def test_demo_writes_page_pictures_and_scores(capsys, place):
    out = place / "shown"
    began = time.perf_counter()
    assert main(f"demo --model {place}/model --count 2 --out {out}".split()) == 0
    assert time.perf_counter() - began < 60
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["scenes"] == 2 and set(metrics["tasks"]) == {"depth", "flow", "amodal"}
    page = (out / "index.html").read_text()
    pictures = sorted((out / "pictures").iterdir())
    assert len(pictures) == 2 * (3 + 4 + 5)
    for picture in pictures:
        assert f'src="pictures/{picture.name}"' in page
        assert read_image(picture).shape == (3, 192, 192)
    said = capsys.readouterr().out
    for metric in ("abs_rel", "epe", "iou_invisible"):
        assert metric in page and metric in said
    assert f"{metrics['tasks']['flow']['rows'][1]['epe']:.3f}" in page


@pytest.fixture
def short(monkeypatch) -> str:
    """A recipe of three iterations."""

    def recipe():
        config = recipes.smoke()
        data = {task: replace(value, spec="procedural:2:1") for task, value in config.data.items()}
        train = replace(config.train, iterations=3, batch_size=4)
        return replace(config, name="short", data=data, train=train, log_every=1)

    monkeypatch.setitem(recipes.RECIPES, "short", recipe)
    return "short"


def test_train_runs_and_finds_itself_finished(capsys, place, short):
    line = f"train {short} --set train.seed=4 --out {place}/run"
    assert main(line.split()) == 0
    said = capsys.readouterr()
    assert "finished: 3 iterations" in said.out and "images/s" in said.err
    assert json.loads((place / "run" / "config.json").read_text())["train"]["seed"] == 4
    assert main(line.split()) == 0
    assert "already finished" in capsys.readouterr().out
    assert (
        main(f"predict depth {place}/a.png --model {place}/run/model --out {place}/o".split()) == 0
    )


def test_a_dry_run_says_what_it_would_cost_and_writes_nothing(capsys, place):
    before = sorted(place.rglob("*"))
    with working_in(place):
        assert (
            main(["train", "paper_table3_depth", "--set", "train.batch_size=512", "--dry-run"]) == 0
        )
    said = capsys.readouterr().out
    for word in ("hypersim:", "4.83e+19", "one H100", "memory on cuda", "512 examples"):
        assert word in said
    assert sorted(place.rglob("*")) == before


def test_train_of_another_recipe_is_refused(capsys, place, short):
    assert main(f"train {short} --quiet --out {place}/run".split()) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert main(f"train {short} --set train.seed=9 --out {place}/run".split()) == 2
    assert "--out" in capsys.readouterr().err


def test_train_asked_to_stop_exits_75_and_resumes(capsys, place, short, monkeypatch):
    @contextmanager
    def already_stopped():
        stop = Stop()
        stop.request(signal.SIGTERM)
        yield stop

    line = f"train {short} --out {place}/run".split()
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "signals", already_stopped)
        assert main(line) == 75
        assert "stopped at iteration 1 of 3" in capsys.readouterr().out
    assert main(line) == 0
    rows = (place / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["iteration"] for row in rows] == [1, 2, 3]


def test_interruption_and_a_refusing_system(capsys, place, monkeypatch):
    from lookharder.cli import verbs

    def raising(error: BaseException):
        def verb(args):
            raise error

        return verb

    monkeypatch.setitem(verbs.VERBS, "demo", raising(KeyboardInterrupt()))
    assert main(["demo"]) == 130
    monkeypatch.setitem(verbs.VERBS, "demo", raising(OSError(28, "No space left on device", "x")))
    assert main(["demo"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "lookharder: error: x: No space left on device"
    )
