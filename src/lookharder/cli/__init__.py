"""The command `lookharder`: read the line, do the verb, say how it went.

    exit code 0     done
    exit code 1     the system refused: disk full, a file that vanished, nobody who reads what is printed; or a training
                    whose numbers stay not finite
    exit code 2     bad input: one line on stderr names the argument, what came and what is allowed; or some of many
                    images cannot be used: a line names each, the others are predicted
    exit code 75    training was asked to stop and has saved; the same command resumes it
    exit code 130   Ctrl-C
    exit code 143   SIGTERM

A verb is a module of this folder, named in `VERBS`: `HELP` and `EPILOG` are its words, `add_arguments(parser)` says
what it takes, `run(args)` does it and returns the exit code. Its module imports torch and the like inside `run`, so
that help and mistakes answer at once.
"""

import argparse
import atexit
import contextlib
import errno
import gc
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import NoReturn, Protocol, cast, runtime_checkable

from lookharder import __version__
from lookharder.cli.parser import Parser, close_to
from lookharder.errors import InputError, fault_of_machine, printable

__all__ = ["VERBS", "build_parser", "load_verb", "main", "parse"]

VERBS = (
    "demo",
    "app",
    "predict",
    "sample",
    "train",
    "evaluate",
    "compare",
    "protocols",
    "inspect",
    "convert",
    "upcycle",
    "export",
    "upload",
    "plot",
    "cache",
    "check",
    "plan",
    "study",
)

# turns of a loop that a thread waits for another before it sleeps (`python -m benchmarks waiting`)
SPINS = "10000"
SIGNALLED: dict[int, tuple[str, int]] = {
    signal.SIGINT: ("interrupted", 130),
    signal.SIGTERM: ("terminated", 143),
}
SMALLER = "a smaller picture, --size, --resolution or --batch-size may do"
OVERVIEW = """usage: lookharder VERB ...

Depth, optical flow and hidden objects by iterative denoising.

verbs (each has a --help of its own):
{verbs}

options:
  -h, --help  show this message and exit
  --version   show the version and exit

examples:
  lookharder demo
  lookharder predict depth photo.jpg --out result
  lookharder predict depth photos/ --steps 8 --members 8 --out result
  lookharder predict flow frame1.png --second frame2.png --out result
  lookharder predict amodal photo.jpg --mask visible.png --out result
  lookharder train tiny --set train.iterations=2000 --out run
  lookharder evaluate --model run/model --task depth --data procedural:100 --out scores.json
  lookharder inspect run/model --resolution 512"""


@runtime_checkable
class Verb(Protocol):
    """What the module of a verb has."""

    HELP: str
    EPILOG: str

    def add_arguments(self, parser: Parser) -> None:
        """Say what the verb takes."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; the exit code."""


def load_verb(name: str) -> Verb:
    """The module of a verb."""
    return cast(Verb, import_module(f"{__name__}.{name}"))


def build_parser(name: str) -> Parser:
    """The parser of a verb's arguments."""
    verb = load_verb(name)
    sentence = verb.HELP[0].upper() + verb.HELP[1:] + "."
    parser = Parser(prog=f"lookharder {name}", description=sentence, epilog=verb.EPILOG)
    verb.add_arguments(parser)
    return parser


def parse(line: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command line, `verb` among them; images and options may come in any order.

    Raises:
        InputError: for a line that is not understood.
        SystemExit: after --help or --version.
    """
    name = line[0] if line else None
    if name in ("-h", "--help"):
        print(OVERVIEW.format(verbs="\n".join(f"  {v:10}{load_verb(v).HELP}" for v in VERBS)))
        raise SystemExit(0)
    if name == "--version":
        print(f"lookharder {__version__}")
        raise SystemExit(0)
    if name not in VERBS:
        got = "nothing" if name is None else repr(name)
        raise InputError("VERB", got, close_to(name or "", VERBS) + "one of " + ", ".join(VERBS))
    args = build_parser(name).parse_line(line[1:])
    args.verb = name
    return args


def main(line: Sequence[str] | None = None) -> int:
    """Run one command line (None: the process's own) and return its exit code."""
    if line is None:  # at its end, to collect what torch made takes longer than a prediction
        atexit.register(gc.freeze)
        share_cores()
        signal.signal(signal.SIGTERM, _stop)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it is not ignored
            signal.signal(signal.SIGINT, _stop)
    try:
        return _attempt(line)
    except Exception:
        if not CAME:
            raise
        return _fail("", 1)
    finally:
        CAME.clear()


def share_cores() -> None:
    """Let threads that wait for each other sleep soon; call it before torch is imported.

    Those of OpenMP spin, and beside other programs they spin on cores that the others hold up: a forward takes several
    times as long (`python -m benchmarks waiting`). What the user's environment says of it holds.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def _attempt(line: Sequence[str] | None) -> int:
    """Do what a command line asks; failures of the input and the system are a line and an exit code."""
    try:
        args = parse(sys.argv[1:] if line is None else line)
        if getattr(args, "allow_download", False):
            from lookharder.autoencoder.kl import DOWNLOADS

            DOWNLOADS.set(True)
        code = load_verb(args.verb).run(args)
        if sys.stdout is not None:
            sys.stdout.flush()  # or what cannot be written shows as the process ends, as a traceback
        return code
    except InputError as error:
        return _fail(str(error), 2)
    except UnicodeEncodeError as error:  # a name in a list or a record, that the locale cannot say
        allowed = "names in the locale's encoding; with PYTHONUTF8=1 that is UTF-8"
        got = str(error.object)[:200]
        return _fail(str(InputError(f"a name in {error.encoding}", got, allowed)), 2)
    except BrokenPipeError:
        _mute()
        return _fail("standard output: nobody reads it", 1)
    except OSError as error:
        cause = "out of memory" if error.errno == errno.ENOMEM else "system"
        return _fail(f"{error.filename or cause}: {error.strerror or error}", 1)
    except FloatingPointError as error:
        return _fail(str(error), 1)
    except MemoryError as error:
        return _fail(f"out of memory: {str(error) or SMALLER}", 1)
    except Exception as error:  # torch, OpenCV and the linker have no MemoryError
        if fault_of_machine(error) is None:
            raise
        return _fail(f"out of memory: {str(error).splitlines()[0]}", 1)
    except KeyboardInterrupt:
        return _fail(*SIGNALLED[signal.SIGINT])
    except Terminated:
        return _fail(*SIGNALLED[signal.SIGTERM])


class Terminated(BaseException):
    """SIGTERM: what is half-written goes, as after Ctrl-C."""


CAME: list[int] = []  # signals; code in C may drop what they raise, and raise something of its own


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    CAME.append(number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    signal.signal(number, signal.SIG_IGN)  # once is enough
    raise Terminated


def _mute() -> None:
    """What is still to be printed goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _fail(message: str, code: int) -> int:
    """Say in one line why it ends here; after a signal, whatever was raised, that is why."""
    if CAME:
        message, code = SIGNALLED[CAME[0]]
    if sys.stderr is None:  # closed by whoever started us
        return code
    with contextlib.suppress(OSError, ValueError):
        print("lookharder: error:", printable(" ".join(message.splitlines())), file=sys.stderr)
    return code
