"""Is a PNG whole? Decoders forgive damage, so the file is walked first: chunks, checksums, the stream of pixels.

    signature, IHDR (one, first), ancillary chunks, PLTE, IDAT ... IDAT (in one run), IEND, nothing more

`whole_png` asks all of it, and that the pixels inflate to exactly the bytes that the header promises: labels are
exact or refused. `chunks_of` asks only what a decoder could be misled by; damage that a photograph survives is told.
Source: Portable Network Graphics Specification, third edition (W3C, 2025), chapters 5, 7, 8 and 10.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookharder.data.formats.guard import check_extent
from lookharder.errors import InputError

# how PNGs are written: at level 1 of 9, several times as fast as at 6, the usual one; looking for runs alone (zlib's
# Z_RLE) takes a fifth less again, for after a PNG's filters there is little else that level 1 finds
PNG_EFFORT: dict[str, Any] = {"compress_level": 1, "compress_type": 3}
SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type: grey, RGB, palette, grey + alpha, RGBA
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# of the seven passes of an interlaced picture: first column and row, distance of columns and rows
ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
INFLATED = 2**20  # bytes at a time


@dataclass(frozen=True, kw_only=True)
class Header:
    """What IHDR says; sides in pixels."""

    width: int
    height: int
    bits: int
    colour: int
    interlaced: bool

    @property
    def raw_bytes(self) -> int:
        """Length of the stream of pixels: for each row a filter byte and its samples, in every pass."""
        depth = self.bits * CHANNELS[self.colour]
        passes = ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for left, top, across, down in passes:
            columns = -(-(self.width - left) // across)
            rows = -(-(self.height - top) // down)
            if columns > 0 and rows > 0:
                total += rows * (1 + -(-columns * depth // 8))
        return total


@dataclass(frozen=True, kw_only=True)
class Chunks:
    """A PNG in parts.

    Attributes:
        header: what IHDR says.
        parts: kind, and where the chunk (length, kind, data, checksum) begins and ends, in order.
        damage: what is wrong that a decoder may get over; None if nothing is.
    """

    header: Header
    parts: list[tuple[bytes, int, int]]
    damage: str | None


def read_header(path: str | Path, data: bytes) -> Header:
    """What the first chunk says.

    Raises:
        InputError: no PNG, or a header that no PNG has.
    """
    if len(data) < 33 or not data.startswith(SIGNATURE) or data[8:16] != b"\0\0\0\x0dIHDR":
        raise InputError(str(path), "no PNG header", "a whole PNG")
    width, height, bits, colour, *methods = struct.unpack(">IIBBBBB", data[16:29])
    check_extent(path, width, height)
    if bits not in DEPTHS.get(colour, ()) or methods[:2] != [0, 0] or methods[2] > 1:
        raise InputError(str(path), f"{bits} bits, colour type {colour}, {methods}", "a whole PNG")
    return Header(width=width, height=height, bits=bits, colour=colour, interlaced=methods[2] == 1)


def chunks_of(path: str | Path, data: bytes) -> Chunks:
    """Walk a PNG to its end, or to where it is cut short.

    Raises:
        InputError: no PNG, or one with a second header or pixels in two places: decoders disagree about these.
    """
    header, position = read_header(path, data), len(SIGNATURE)
    parts: list[tuple[bytes, int, int]] = []
    damage = None
    while position < len(data) and (not parts or parts[-1][0] != b"IEND"):
        # a chunk is its length, kind and data, and a checksum of the last two; all but the data take 12 bytes
        kind = data[position + 4 : position + 8]
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        if end > len(data):
            damage = f"{len(data)} bytes where {end} or more are promised: cut short"
            break
        if kind == b"IHDR" and parts:
            raise InputError(str(path), "a second header (IHDR)", "one")
        if kind == b"IDAT" and parts[-1][0] != kind and any(part[0] == kind for part in parts):
            raise InputError(str(path), "pixels (IDAT) in two places", "one run of them")
        checksum = zlib.crc32(memoryview(data)[position + 4 : end - 4])
        if checksum.to_bytes(4, "big") != data[end - 4 : end]:
            damage = damage or f"a damaged chunk {kind!r}: its checksum does not hold"
        parts.append((kind, position, end))
        position = end
    if damage is None and (not parts or parts[-1][0] != b"IEND"):
        damage = f"{len(data)} bytes without an end (IEND): cut short"
    if damage is None and position != len(data):
        damage = f"{len(data)} bytes, where the PNG ends after {position} bytes"
    return Chunks(header=header, parts=parts, damage=damage)


def whole_png(path: str | Path, data: bytes) -> Chunks:
    """The parts of a PNG that is exactly what was written.

    Raises:
        InputError: any byte is missing, changed or too much.
    """
    chunks = chunks_of(path, data)
    if chunks.damage is not None:
        raise InputError(str(path), chunks.damage, "a whole PNG")
    stream, expected, found = zlib.decompressobj(), chunks.header.raw_bytes, 0
    pending = b"".join(
        data[start + 8 : end - 4] for kind, start, end in chunks.parts if kind == b"IDAT"
    )
    try:
        while pending and not stream.eof and found <= expected:
            found += len(stream.decompress(pending, INFLATED))
            pending = stream.unconsumed_tail
    except zlib.error as error:
        raise InputError(
            str(path), f"pixels that do not inflate ({error})", "a whole PNG"
        ) from None
    if found != expected or not stream.eof or stream.unused_data:
        got = f"pixels of {found}{'' if stream.eof else ' or more'} bytes"
        raise InputError(str(path), got, f"exactly {expected}, as the header says, and no more")
    return chunks


def critical(data: bytes, chunks: Chunks) -> bytes:
    """The PNG without what is not needed to decode its pixels: text, profiles, EXIF, further frames."""
    needed = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
    kept = [data[start:end] for kind, start, end in chunks.parts if kind in needed]
    return SIGNATURE + b"".join(kept)
