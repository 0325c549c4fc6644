"""Every verb's help, and every kind of bad input: exit code 2, one line, nothing written."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import cv2
import pytest

from lookharder.cli import (
    SIGNALLED,
    SPINS,
    VERBS,
    Terminated,
    build_parser,
    load_verb,
    main,
    parse,
    share_cores,
)
from lookharder.diffusion.schedule import ScheduleName, Spacing
from lookharder.diffusion.steps import STEPS
from lookharder.errors import InputError

FLAGS = {  # the command line grows on purpose
    "demo": "--allow-download --compiled --count --device --help --model --out --precision",
    "predict": "--allow-download --antithetic --as-released --batch-size --beside --box --budget --colormap --compiled "
    "--device --fit --format --fov --glb --grey --help --json --levels --mask --members --merge --metric "
    "--mirror --model --near-far --noise-schedule --out --output --outputs --overwrite --ply --point --precision "
    "--quiet --recursive --resolution --sampler --second --seed --shard --skip-existing --spacing --steady "
    "--steps --strict --until --verbose",
    "train": "--allow-download --dry-run --help --out --quiet --set",
    "sample": "--allow-download --batch-size --classes --count --device --guidance --guided --help --out --sampler "
    "--seed --size --spacing --steps",
    "evaluate": "--allow-download --calibration --compiled --data --device --features --fit --help --levels --members "
    "--merge --mirror --model --noise-schedule --out --precision --predictions --protocol --resolution --sampler "
    "--samples --seed --set --shard --size --spacing --steps --task",
    "compare": "--help --out",
    "protocols": "--help --set",
    "convert": "--as-released --autoencoder --from --heads --help --out --verbose",
    "upcycle": "--active --allow-download --experts --help --no-renormalise --out --seed",
    "export": "--allow-download --help --out --to",
    "upload": "--dry-run --help --license --private --scores",
    "plot": "--help --out",
    "cache": "--allow-download --autoencoder --batch-size --data --device --half --help --model --out --shard "
    "--size --task --workers",
    "check": "--data --help",
    "plan": "--answers --device --error --explain --help --inference --mfu --price --task --total --training",
    "study": "--allow-download --dry-run --executor --help --only --out --preset --records --retry --slurm --workers",
    "app": "--allow-download --device --help --model --open --port",
    "inspect": "--allow-download --data --device --help --members --out --resolution --seed --size --steps --task",
}


def fails(capsys: pytest.CaptureFixture, place: Path, line: str, *words: str) -> None:
    """Run a line in `place`; it must exit with 2, say one line that has these words, and write nothing."""
    before = sorted(place.rglob("*"))
    code = main(line.split())
    said = capsys.readouterr()
    assert code == 2, said
    assert said.out == ""
    assert said.err.count("\n") == 1 and said.err.startswith("lookharder: error: ")
    assert ": got " in said.err and ", allowed: " in said.err
    for word in words:
        assert word in said.err
    assert sorted(place.rglob("*")) == before


PREDICT = "predict depth --model model --out out"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{PREDICT} --strict a.png missing.png", ("missing.png", "no such file")),
        (f"{PREDICT} --strict a.png cut.png", ("cut.png",)),
        (f"{PREDICT} --strict a.png text.png", ("text.png", "PNG")),
        (f"{PREDICT} --strict a.png dot.png", ("dot.png", "1 x 1")),
        (f"{PREDICT} --strict a.png wide.png", ("wide.png", "20000 x 10")),
        (f"{PREDICT} cut.png", ("cut.png",)),
        (f"{PREDICT} a.png --shard 2/2", ("--shard", "'2/2'", "0/N")),
        (f"{PREDICT} a.png --overwrite --skip-existing", ("--skip-existing", "--overwrite")),
        (f"{PREDICT} a.png --outputs array,gif", ("--outputs", "'gif'", "vis")),
        (f"{PREDICT} a.png --format npy,gif", ("--format", "'gif'", "exr")),
        (f"{PREDICT} a.png --format flo", ("--format", "'flo'", "png16")),
        (f"{PREDICT} a.png --colormap jet", ("--colormap", "'jet'", "turbo")),
        (f"{PREDICT} a.png --grey --colormap turbo", ("--grey", "one of the two")),
        (f"{PREDICT} a.png --fov 60", ("--fov", "--ply or --glb")),
        (f"{PREDICT} a.png --ply --fov 180", ("--fov", "180", "170")),
        (f"{PREDICT} a.png --ply --near-far 5", ("--near-far", "'5'", "comma")),
        (f"{PREDICT} a.png --ply --near-far 5,1", ("--near-far", "5,1", "NEAR < FAR")),
        (f"{PREDICT} a.png --metric missing.json", ("missing.json", "no such file")),
        (f"{PREDICT} a.png b.png --metric points.json", ("--metric", "2 images", "one")),
        (f"{PREDICT} a.png --metric text.json", ("--metric", "no list")),
        (f"{PREDICT} a.png --box 1,2,3,4", ("--box", "amodal")),
        ("predict amodal a.png --box 1,2 --model model --out out", ("--box", "'1,2'", "x0,y0")),
        ("predict amodal a.png --point x,2 --model model --out out", ("--point", "'x,2'", "x,y")),
        ("predict amodal a.png --point 56,2 --model model --out out", ("--point", "56 x 40")),
        ("predict amodal a.png b.png --box 1,2,9,9 --model model --out out", ("2, one for each",)),
        (f"{PREDICT} a.png --json --verbose", ("--json", "--verbose")),
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
        (
            "evaluate --model model --task flow --data procedural:2 --calibration --out e.json",
            ("--members", "1", "2 or more, with --calibration"),
        ),
        (
            "evaluate --model model --task flow --data procedural:2 --calibration --members 1 --out e.json",
            ("--members", "1", "2 or more"),
        ),
        ("demo --model model --count 0", ("--count", "'0'")),
        ("demo --model model --out file", ("--out", "file")),
        (f"{PREDICT} a.png --sampler eulre", ("--sampler", "perhaps euler")),
        (f"{PREDICT} a.png --stepps 4", ("--stepps", "not known", "perhaps --steps")),
        (f"{PREDICT} a.png --stepps=4", ("--stepps:", "perhaps --steps")),
        (f"{PREDICT} a.png --antithetic=yes", ("--antithetic", "a value", "none")),
        ("predict", ("TASK, IMAGE, --out", "got nothing")),
        ("predict flow a.png --second --model model --out out", ("--second", "one value or more")),
        ("plan laws.json --error low", ("--error", "'low'", "a number")),
        ("study all --executor cloud --out out", ("--executor", "'cloud'", "local, slurm")),
        ("demo here", ("'here'", "one too many")),
        ("inspect model --task colour", ("--task", "'colour'", "depth")),
        ("cache --data procedural:2 --task colour --model model --out out", ("--task", "colour")),
        ("cache --data procedural:2 --task colour --autoencoder pixel --out out", ("--task",)),
        ("fly --out x", ("VERB", "fly", "predict")),
        ("predcit --out x", ("VERB", "perhaps predict")),
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
    (place / "a.depth.png").write_bytes((place / "a.png").read_bytes())
    for line in (
        "predict depth a.png a.depth.png --model model --out .",
        "predict depth a.png a.depth.png --model model --out . --overwrite",
    ):
        fails(capsys, place, line, "--out", "a.depth.png is an input")


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
    assert set(VERBS) == set(FLAGS)
    for verb in VERBS:
        assert " ".join(build_parser(verb).flags) == FLAGS[verb]
        with pytest.raises(SystemExit) as leaving:
            main([verb, "--help"])
        assert leaving.value.code == 0
        said = capsys.readouterr().out
        assert said.startswith(f"usage: lookharder {verb}")
    for flag in ("--help", "--version"):
        with pytest.raises(SystemExit) as leaving:
            main([flag])
        assert leaving.value.code == 0


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, SPINS), ({"GOMP_SPINCOUNT": "9"}, "9"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_waiting_threads_sleep_soon_unless_the_user_says_otherwise(given, spins, monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    share_cores()
    assert os.environ.get("GOMP_SPINCOUNT") == spins


def test_choices_are_the_rows_of_the_tables():
    """They stand in `cli/arguments.py` once more, because the tables import torch and --help must not."""
    predict = ["predict", "depth", "a.png", "--out", "o"]
    for flag, names in (
        ("--sampler", STEPS),
        ("--spacing", get_args(Spacing)),
        ("--noise-schedule", get_args(ScheduleName)),
        ("--merge", ("gram", "marigold", "median", "mean", "vote", "released")),
    ):
        for name in names:
            parse([*predict, flag, name])
        with pytest.raises(InputError) as refusal:
            parse([*predict, flag, "x"])
        assert refusal.value.args[2] == ", ".join(names)


def test_images_and_options_in_any_order():
    args = parse(["predict", "depth", "a.png", "--steps", "2", "b.png", "--out", "o", "c.png"])
    assert (args.verb, args.image, args.steps) == ("predict", ["a.png", "b.png", "c.png"], 2)
    args = parse(["predict", "flow", "a", "b", "--second", "c", "--out", "o", "--second", "d"])
    assert args.second == ["c", "d"]


def test_interruption_and_a_refusing_system(capsys, monkeypatch):
    def raising(error: BaseException):
        def run(args):
            raise error

        return run

    demo = load_verb("demo")
    monkeypatch.setattr(demo, "run", raising(KeyboardInterrupt()))
    assert main(["demo"]) == 130
    monkeypatch.setattr(demo, "run", raising(OSError(28, "No space left on device", "x")))
    assert main(["demo"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "lookharder: error: x: No space left on device"
    )
    monkeypatch.setattr(
        "lookharder.cli._mute", lambda: None
    )  # standard output is that of the tests
    for error, code, words in (
        (BrokenPipeError(), 1, "standard output: nobody reads it"),
        (Terminated(), 143, "terminated"),
        (OSError(12, "Cannot allocate memory"), 1, "out of memory: Cannot allocate memory"),
        (
            RuntimeError("mmap: Cannot allocate memory"),
            1,
            "out of memory: mmap: Cannot allocate memory",
        ),
        (
            cv2.error("error: (-4:Insufficient memory) Failed to allocate 9 bytes"),
            1,
            "out of memory: error: (-4:Insufficient memory) Failed to allocate 9 bytes",
        ),
        (
            ImportError("x.so: failed to map segment"),
            1,
            "out of memory: x.so: failed to map segment",
        ),
    ):
        monkeypatch.setattr(demo, "run", raising(error))
        assert main(["demo"]) == code
        assert capsys.readouterr().err == f"lookharder: error: {words}\n"


@pytest.fixture
def own_line(monkeypatch):
    """`main` without a line, as the command calls it; the handlers of signals are given back."""
    monkeypatch.setattr(sys, "argv", ["lookharder", "demo"])
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("instead", [IndexError("mode stack"), InputError("a.png", "", "a file")])
def test_what_is_raised_in_the_place_of_a_signal_is_not_said(
    monkeypatch, capsys, own_line, number, code, instead
):
    """Code in C that is struck by a signal may drop its exception: safetensors says "could not determine the shape"."""

    def run(args: argparse.Namespace) -> int:
        with contextlib.suppress(BaseException):
            signal.raise_signal(number)
        raise instead

    demo = load_verb("demo")
    monkeypatch.setattr(demo, "run", run)
    assert main() == code
    assert capsys.readouterr().err == f"lookharder: error: {SIGNALLED[number][0]}\n"

    def fails(args: argparse.Namespace) -> int:
        return [].pop()

    monkeypatch.setattr(demo, "run", fails)
    with pytest.raises(IndexError):  # a fault of ours stays a traceback
        main(["demo"])


def test_a_study_says_that_runs_failed(place, capsys, monkeypatch):
    """Each on standard output, where its progress is; one line of it all on standard error."""
    from lookharder.study import command

    monkeypatch.setattr(command, "execute", lambda *plan, **how: {"pre-train n1": "MemoryError"})
    assert main(["study", "model-size", "--preset", "micro", "--out", "out"]) == 1
    said = capsys.readouterr()
    assert "failed: pre-train n1: MemoryError" in said.out
    assert said.err.splitlines() == [
        "lookharder: error: 1 run failed, see above; --retry tries again what failed"
    ]
