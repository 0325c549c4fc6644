"""What a reader asks of a file before it believes it: that its size is right, and what a decoder may raise."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import IO

from lookharder.errors import InputError, fault_of_machine

MAX_SIDE = 16_384  # pixels
MAX_PIXELS = 64 * 2**20  # 8192 x 8192: 192 MiB as RGB, 512 MiB as flow
Stream = IO[bytes] | BufferedIOBase  # zipfile's is typed as the one and is the other


def check_extent(path: str | Path, width: int, height: int, min_side: int = 1) -> None:
    """Refuse a picture too small to mean anything or too large for memory, on its header's word."""
    short, long = sorted((width, height))
    if short < min_side or long > MAX_SIDE or short * long > MAX_PIXELS:
        allowed = f"sides of {min_side} to {MAX_SIDE} pixels, at most {MAX_PIXELS:,} pixels in all"
        raise InputError(str(path), f"{width} x {height} pixels", allowed)


def read_exactly(
    handle: Stream, path: str | Path, header: int, size: int, count: int, what: str
) -> bytes:
    """The `count` bytes after a header, if the file of `size` bytes holds these and no others."""
    allowed = f"{header + count} bytes for {what}"
    if size != header + count:
        raise InputError(str(path), f"{size} bytes", allowed)
    data = handle.read(count)
    if len(data) != count:
        raise InputError(str(path), f"{header + len(data)} bytes", allowed)
    return data


@contextmanager
def decoding(path: str | Path, allowed: str) -> Iterator[None]:
    """Around a foreign decoder: what it raises on a file's bytes is the file's fault: InputError.

    Pillow, zipfile and OpenCV raise some twenty kinds of exception on damaged files, and the list
    grows with each release; the cause stays attached. What the machine refuses (memory, a disk that
    fails) is not the file's fault and passes through.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        if fault_of_machine(error) is not None:
            if isinstance(error, OSError):
                raise
            raise MemoryError(f"{path}: {reason}") from error  # OpenCV's is none
        raise InputError(str(path), f"a file that cannot be decoded ({reason})", allowed) from error
