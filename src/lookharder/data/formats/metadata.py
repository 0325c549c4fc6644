"""Pictures without their metadata: text, profiles and EXIF never decide whether pixels can be read.

A decoder that stumbles over them is asked again without them. Only containers are cut here; pixels are not touched.
Sources: ITU-T T.81 (JPEG), B.1.1; WebP Container Specification; PNG: see `png`.
"""

from lookharder.data.formats.png import SIGNATURE, chunks_of, critical

START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
KEPT_APPLICATION = (0xE0, 0xEE)  # JFIF; Adobe's, which names the colour transform
MAX_SCANS = 100  # of a JPEG; progressive encoders write about ten


def without_metadata(name: str, data: bytes) -> bytes:
    """The same picture with nothing but what its pixels need; formats without metadata come back as they are."""
    if data.startswith(SIGNATURE):
        return critical(data, chunks_of(name, data))
    if data.startswith(b"\xff\xd8"):
        return _plain_jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _plain_webp(data)
    return data


def scans(data: bytes) -> int:
    """How many scans a JPEG has, at the most: each is decoded over the whole picture."""
    return data.count(bytes((0xFF, START_OF_SCAN))) if data.startswith(b"\xff\xd8") else 0


def _plain_jpeg(data: bytes) -> bytes:
    """Segments of applications and comments are left out, up to the first scan."""
    kept, position = [data[:2]], 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in (START_OF_SCAN, END_OF_IMAGE):
            break
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        optional = marker == 0xFE or (0xE0 <= marker <= 0xEF and marker not in KEPT_APPLICATION)
        if not optional:
            kept.append(data[position:end])
        position = end
    return b"".join(kept) + data[position:]


def _plain_webp(data: bytes) -> bytes:
    """Chunks ICCP, EXIF and XMP are left out, and the flags that announce them."""
    kept, position = [], 12
    while position + 8 <= len(data):
        kind = data[position : position + 4]
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        chunk = data[position : position + 8 + size + size % 2]
        position += len(chunk)
        if kind == b"VP8X" and len(chunk) > 8:
            chunk = chunk[:8] + bytes((chunk[8] & ~0x2C,)) + chunk[9:]
        if kind not in (b"ICCP", b"EXIF", b"XMP "):
            kept.append(chunk)
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + len(body).to_bytes(4, "little") + body
