"""The server under what befalls a process: one line, a documented exit code, no traceback."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

pytest.importorskip("gradio", reason="gradio, the extra `app`, is not installed")
pytestmark = pytest.mark.slow
PATIENCE = 120  # seconds
HERE = "127.0.0.1"


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind((HERE, 0))
        return free.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HERE, port)) == 0


def start(
    port: int, before: Callable[[], object] = lambda: None, **environment: str | None
) -> subprocess.Popen[str]:
    changed = {k: v for k, v in (os.environ | environment).items() if v is not None}
    return subprocess.Popen(
        [sys.executable, "-m", "lookharder", "app", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=changed,
        preexec_fn=before,
    )


def serve(port: int, server: subprocess.Popen[str]) -> None:
    """Wait until the page is there."""
    end = time.monotonic() + PATIENCE
    while not listens(port):
        assert server.poll() is None, server.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)


def ended(server: subprocess.Popen[str], number: signal.Signals | None = None) -> tuple[int, str]:
    """Exit code and what was said on standard error, after a signal."""
    if number is not None:
        server.send_signal(number)
    _, said = server.communicate(timeout=PATIENCE)
    return server.returncode, said


def limit(what: int, most: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(what, (most, most))


@pytest.mark.parametrize(
    ("before", "environment"),
    [
        (lambda: os.close(1), {}),
        (lambda: None, {"HOME": None}),
        (lambda: None, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
        (limit(resource.RLIMIT_NOFILE, 64), {}),
    ],
    ids=["no stdout", "no HOME", "LC_ALL=C", "64 files"],
)
def test_it_serves_and_ends_as_it_is_told(port, before, environment):
    server = start(port, before, **environment)
    serve(port, server)
    assert ended(server, signal.SIGTERM) == (143, "lookharder: error: terminated\n")


def test_interrupted_and_without_standard_error(port):
    server = start(port, lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    serve(port, server)
    assert ended(server, signal.SIGINT) == (130, "lookharder: error: interrupted\n")
    server = start(port, lambda: os.close(2))
    serve(port, server)
    assert ended(server, signal.SIGTERM) == (143, "")


def test_a_port_that_is_taken_is_an_input_error(port):
    with socket.socket() as other:
        other.bind((HERE, port))
        other.listen()
        code, said = ended(start(port))
    assert code == 2
    assert said.startswith(f"lookharder: error: --port: got {port}, on which something listens")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("what", "most", "word"),
    [
        (resource.RLIMIT_AS, 300 * 2**20, "out of memory"),
        (resource.RLIMIT_FSIZE, 1000, "File too large"),
    ],
    ids=["300 MB", "no room for a file"],
)
def test_what_the_machine_has_not_is_one_line(port, what, most, word):
    code, said = ended(start(port, limit(what, most)))
    assert code == 1
    assert word in said and said.count("\n") == 1, said


def test_a_reader_that_leaves_ends_it(port):
    reader, writer = os.pipe()
    os.close(reader)
    server = start(port, lambda: os.dup2(writer, 1))
    os.close(writer)
    assert ended(server) == (1, "lookharder: error: standard output: nobody reads it\n")
