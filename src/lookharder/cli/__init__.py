"""The command `lookharder`: read the line, do the verb, say how it went.

    exit code 0     done
    exit code 1     the system refused: disk full, a file that vanished; or a training whose numbers stay not finite
    exit code 2     bad input: one line on stderr names the argument, what came and what is allowed
    exit code 75    training was asked to stop and has saved; the same command resumes it
    exit code 130   Ctrl-C

`parser` knows the arguments and imports nothing heavy, so help and mistakes answer at once; `verbs` imports torch, and
is imported once the line is understood.
"""

import argparse
import sys
from collections.abc import Sequence

from lookharder.cli.parser import build
from lookharder.errors import InputError

__all__ = ["main", "parse"]


def parse(line: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command line, `verb` among them; images and options may come in any order.

    Raises:
        InputError: for a line that is not understood.
        SystemExit: after --help or --version.
    """
    parser, verbs = build()
    if not line or line[0] not in verbs:
        return parser.parse_args(line)  # help, version or a mistake
    args = verbs[line[0]].parse_intermixed_args(line[1:])
    args.verb = line[0]
    return args


def main(line: Sequence[str] | None = None) -> int:
    """Run one command line (None: the process's own) and return its exit code."""
    try:
        args = parse(sys.argv[1:] if line is None else line)
        from lookharder.cli import verbs

        return verbs.VERBS[args.verb](args)
    except InputError as error:
        return _fail(str(error), 2)
    except OSError as error:
        return _fail(f"{error.filename or 'system'}: {error.strerror or error}", 1)
    except FloatingPointError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _fail(message: str, code: int) -> int:
    print("lookharder: error:", " ".join(message.splitlines()), file=sys.stderr)
    return code
