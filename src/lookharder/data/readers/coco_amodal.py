"""COCO amodal (COCOA): photos whose objects are outlined as if nothing stood before them.

    NAME.jpg  NAME.json     regions[]: segmentation [x0, y0, x1, y1, ...] (the whole outline),
                            order (1 = front), occlude_rate; where something hides a part,
                            visible_mask and invisible_mask (run lengths)

One example per region. Where run lengths are given, amodal = visible + invisible, exactly as
annotated; else the object is in full view and its polygon is both masks.
Source: Zhu et al., Semantic Amodal Segmentation (CVPR 2017).
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from lookharder.data.example import Example
from lookharder.data.formats import read_image
from lookharder.data.formats.guard import decoding
from lookharder.data.readers.rows import SPLITS, list_files, within
from lookharder.errors import InputError
from lookharder.jsons import as_object, read_json


def decode_runs(counts: str | list[int], height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """A mask from COCO's run lengths, compressed (text) or plain (numbers).

    Runs alternate outside, inside, outside, ... down the columns. Each length (from the fourth on:
    less the one two before) is written in groups of five bits, lowest first, as characters from
    '0' on: bit 6 says that more follow, bit 5 of the last group is the sign.

    Raises:
        InputError: the runs do not fill the picture.
    """
    if isinstance(counts, list):
        return _filled([int(length) for length in counts], height, width)
    lengths: list[int] = []
    value = shift = 0
    for character in counts.encode("ascii", "replace"):
        group = character - 48
        if not 0 <= group < 64 or shift > 30:
            raise InputError("run lengths", repr(chr(character)), "short groups of '0' to 'o'")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return _filled(lengths if not shift else [], height, width)


def _filled(lengths: list[int], height: int, width: int) -> Bool[np.ndarray, "H W"]:
    if min(lengths, default=-1) < 0 or sum(lengths) != height * width:
        raise InputError("run lengths", f"{sum(lengths)} pixels", f"{width} x {height} pixels")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(width, height).T


def _polygon(outline: list[Any], height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """Inside of one outline, or of any of several."""
    parts = [part for part in outline if isinstance(part, list)] or [outline]
    canvas = Image.new("L", (width, height), 0)
    for part in parts:
        ImageDraw.Draw(canvas).polygon(np.asarray(part, np.float64).tolist(), fill=1)
    return np.asarray(canvas) > 0


class CocoAmodal:
    """Every region of every photo: image, visible and amodal mask; no picture of the whole object.

    Args:
        root: folder of NAME.jpg and NAME.json.
        min_occlusion: leave out regions of which no more than this part is hidden.
    """

    def __init__(self, root: str | Path, min_occlusion: float = -1.0) -> None:
        self.regions: list[tuple[Path, dict[str, Any]]] = []
        for path in list_files(within(Path(root), "*.json", *SPLITS), "*.json"):
            said = as_object(read_json(path), str(path))
            with decoding(path, "JSON with a list `regions`"):
                for region in said["regions"]:
                    if float(region["occlude_rate"]) > min_occlusion:
                        self.regions.append((path, as_object(region, f"{path}: regions")))
        if not self.regions:
            raise InputError(str(root), "no regions", "at least one")

    def __len__(self) -> int:
        return len(self.regions)

    def __getitem__(self, index: int, /) -> Example:
        path, region = self.regions[index]
        image = read_image(
            path.with_suffix(".jpg"), upright=False
        )  # outlines are of what is stored
        height, width = image.shape[1:]
        with decoding(path, "regions as in COCO amodal"):
            if "visible_mask" in region:
                visible = decode_runs(region["visible_mask"]["counts"], height, width)
                hidden = decode_runs(region["invisible_mask"]["counts"], height, width)
                amodal = visible | hidden
            else:
                visible = amodal = _polygon(region["segmentation"], height, width)
            name = f"{path.stem}/{region['order']}"
        return Example(name=name, image=image, visible=visible, amodal=amodal)
