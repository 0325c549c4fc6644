"""Clips in and out, frame by frame, so that an hour needs no more memory than a second. Needs PyAV, the extra `video`.

Frames come upright as (3, H, W) uint8. What is written is H.264 in MP4, which browsers play; an odd side gains a pixel.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from lookharder.data.formats.guard import check_extent
from lookharder.errors import InputError
from lookharder.files import atomic, opened, say_once

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
ALLOWED = "a clip that PyAV decodes: " + ", ".join(VIDEO_SUFFIXES)
QUARTER = 90  # degrees
Frame = UInt8[np.ndarray, "3 H W"]


@dataclass(frozen=True, kw_only=True)
class ClipFacts:
    """What the first frame and the header of a clip say.

    Attributes:
        rate: frames a second.
        size: (height, width), upright.
        count: frames by the header, which may be wrong; 0 where it does not say.
    """

    rate: Fraction
    size: tuple[int, int]
    count: int


def clip_facts(path: str | Path) -> ClipFacts:
    """Look at a clip without reading all of it.

    Raises:
        InputError: no such file, or no clip; or PyAV is not installed.
    """
    with _decoding(path) as (stream, decoded):
        first = next(decoded, None)
        if first is None:
            raise InputError(str(path), "a clip without a frame", ALLOWED)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        _, height, width = _upright(first).shape
        return ClipFacts(rate=Fraction(rate), size=(height, width), count=stream.frames)


def read_clip(path: str | Path) -> Iterator[Frame]:
    """The frames of a clip, in order; where its header speaks of more, that is said.

    Raises:
        InputError: no clip, one whose frames change their size, or one that is damaged further on.
    """
    size, count = None, 0
    with _decoding(path) as (stream, decoded):
        for frame in decoded:
            count += 1
            image = _upright(frame)
            check_extent(path, image.shape[2], image.shape[1])
            if size not in (None, image.shape):
                raise InputError(str(path), f"frames of {size} and {image.shape}", "one size")
            size = image.shape
            yield image
        if count < stream.frames:
            lack = f"{count} of the {stream.frames} frames that its header speaks of can be decoded"
            say_once(str(path), f"{lack}; where some lack, neighbours are farther apart")


@contextmanager
def writing_clip(path: str | Path, rate: Fraction) -> Iterator[Callable[[np.ndarray], None]]:
    """Write a clip inside, whole or not at all; what is yielded takes a frame (H, W, 3) uint8 at a time."""
    av = _pyav()
    with atomic(path) as aside, av.open(str(aside), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "18"})
        stream.pix_fmt = "yuv420p"

        def add(picture: np.ndarray) -> None:
            height, width = picture.shape[:2]
            even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if not stream.codec_context.is_open:
                stream.height, stream.width = even.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))

        yield add
        container.mux(stream.encode(None))


def is_clip(path: Path) -> bool:
    """Whether a name is that of a clip."""
    return path.suffix.lower() in VIDEO_SUFFIXES


@contextmanager
def _decoding(path: str | Path) -> Iterator[tuple[Any, Iterator[Any]]]:
    """The video stream of a file, and its frames; what PyAV refuses is an InputError."""
    av = _pyav()
    with opened(path) as handle:
        if Path(path).stat().st_size == 0:
            raise InputError(str(path), "an empty file", ALLOWED)
        try:
            with av.open(handle) as container:
                if not container.streams.video:
                    raise InputError(str(path), "no video in it", ALLOWED)
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                yield stream, container.decode(stream)
        except av.FFmpegError as error:
            raise InputError(str(path), f"what cannot be decoded ({error})", ALLOWED) from error


def _upright(frame: Any) -> Frame:
    """A frame as it is shown: phones store it turned, and say so."""
    image = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // QUARTER)
    return np.ascontiguousarray(np.moveaxis(image, -1, 0))


def _pyav() -> Any:
    try:
        import av
    except ImportError as error:
        allowed = "PyAV beside it: pip install 'lookharder[video]'"
        raise InputError("video", "no PyAV on this machine", allowed) from error
    return av
