"""The verb `app`."""

import argparse
import contextlib
import os
import sys

from lookharder.cli.arguments import add_model
from lookharder.cli.parser import Parser, whole

HELP = "a page to play with in the browser, on this machine alone"
EPILOG = (
    """It needs gradio, the extra `app`. From another machine: ssh -L 7860:127.0.0.1:7860 HOST."""
)


def add_arguments(parser: Parser) -> None:
    """What `lookharder app` takes."""
    add_model(parser)
    parser.add_argument(
        "--port",
        type=whole(1, 65535),
        default=7860,
        metavar="P",
        help="of the page [%(default)s]",
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def run(args: argparse.Namespace) -> int:
    """Serve the page until it is interrupted."""
    import tempfile
    from pathlib import Path

    from lookharder.app.page import build, gradio_of, launch

    gradio_of()
    from lookharder.app.answers import Models

    with contextlib.ExitStack() as stack:
        # the server logs to both, of which whoever started us may have closed one
        for stream in ("stdout", "stderr"):
            if getattr(sys, stream) is None:
                setattr(sys, stream, stack.enter_context(Path(os.devnull).open("w")))
        work = stack.enter_context(tempfile.TemporaryDirectory(prefix="lookharder-"))
        page = build(Models(args.model, args.device), Path(work))
        launch(page, args.port, browse=args.open)
    return 0
