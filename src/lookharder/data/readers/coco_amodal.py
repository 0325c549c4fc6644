"""COCO amodal (COCOA): photos whose objects are outlined as if nothing stood before them.

    NAME.json, or an item of `annotations` of one JSON with `images[]`: id, file_name, as published:
                            regions[]: segmentation [x0, y0, x1, y1, ...] (the whole outline),
                            order (1 = front), occlude_rate; where something hides a part,
                            visible_mask and invisible_mask (run lengths)

One example per region. Where run lengths are given, amodal = visible + invisible, exactly as
annotated; else the object is in full view and its polygon is both masks. BSDS-A is of the same form.
MP3D-Amodal too, but its `segmentation` are the run lengths of the whole, and nothing is in full view;
it comes as a pickle, which is not opened here: docs/protocols.md says how it becomes JSON.
Sources: Zhu et al., Semantic Amodal Segmentation (CVPR 2017); Zhan et al., Amodal Ground Truth and
Completion in the Wild (CVPR 2024).
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from lookharder.data.example import Example
from lookharder.data.formats import PICTURE_SUFFIXES, read_image
from lookharder.data.formats.guard import decoding
from lookharder.data.readers.rows import SPLITS, list_files, within
from lookharder.errors import InputError
from lookharder.files import say_once
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
    """Pixels whose centres are inside of one outline, or of any of several, as COCO counts them."""
    parts = [part for part in outline if isinstance(part, list)] or [outline]
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    found = np.zeros((height, width), bool)
    for part in parts:
        corners, inside = np.asarray(part, np.float64).reshape(-1, 2), np.zeros_like(found)
        for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
            rows = (y0 <= y) != (y1 <= y)  # which this side crosses, left of the crossing or right
            crossing = x0 + (y[rows] - y0) * (x1 - x0) / ((y1 - y0) or 1.0)
            inside[rows] ^= x < crossing[:, None]
        found |= inside
    return found


class CocoAmodal:
    """Every region of every photo: image, visible and amodal mask; no picture of the whole object.

    Args:
        root: folder of NAME.jpg and NAME.json, or of the published JSON and, at any depth, its pictures.
        min_occlusion: leave out regions of which no more than this part is hidden, by `occlude_rate`.
        listing: name of the published JSON; None = the only one, or that of the validation.
    """

    def __init__(
        self, root: str | Path, min_occlusion: float = -1.0, listing: str | None = None
    ) -> None:
        self.regions: list[tuple[str, Path, dict[str, Any]]] = []
        folder = within(Path(root), "*.json", *SPLITS, "annotations")
        paths = list_files(folder, "*.json" if listing is None else listing)
        if "annotations" in as_object(read_json(paths[0]), str(paths[0])):
            self._list_published(Path(root), _one(paths), min_occlusion)
        else:
            for path in paths:
                said = as_object(read_json(path), str(path))
                self._add(path.stem, path.with_suffix(".jpg"), said, path, min_occlusion)
        if not self.regions:
            raise InputError(str(root), "no regions", "at least one")

    def _list_published(self, root: Path, path: Path, min_occlusion: float) -> None:
        said = as_object(read_json(path), str(path))
        found = (each for each in sorted(root.rglob("*.*")) if each.suffix in PICTURE_SUFFIXES)
        pictures = {each.name: each for each in found}
        with decoding(path, "JSON with lists `images` and `annotations`"):
            files = {each["id"]: Path(str(each["file_name"])).name for each in said["images"]}
            for place, item in enumerate(said["annotations"]):
                name = files[item.get("image_id", said["images"][place]["id"])]
                picture = pictures.get(name, root / name)
                self._add(picture.stem, picture, item, path, min_occlusion)

    def _add(
        self, name: str, picture: Path, said: dict[str, Any], path: Path, min_occlusion: float
    ) -> None:
        """The regions of one picture."""
        with decoding(path, "JSON with a list `regions`"):
            for number, region in enumerate(said["regions"], start=1):
                each = as_object(region, f"{path}: regions")
                if float(each.get("occlude_rate", 1.0)) > min_occlusion:
                    self.regions.append((f"{name}/{each.get('order', number)}", picture, each))

    def __len__(self) -> int:
        return len(self.regions)

    def __getitem__(self, index: int, /) -> Example:
        name, path, region = self.regions[index]
        image = read_image(path, upright=False)  # outlines are of what is stored
        height, width = image.shape[1:]
        with decoding(path, "regions as in COCO amodal"):
            if "visible_mask" not in region:
                visible = amodal = _polygon(region["segmentation"], height, width)
            else:
                visible = decode_runs(region["visible_mask"]["counts"], height, width)
                rest = region[
                    "segmentation" if "invisible_mask" not in region else "invisible_mask"
                ]
                amodal = visible | decode_runs(rest["counts"], height, width)
        return Example(name=name, image=image, visible=visible, amodal=amodal)


def _one(published: list[Path]) -> Path:
    """The list that is read: the only one, or that of the validation."""
    chosen = [path for path in published if "val" in path.name] or published
    if len(published) > 1:
        say_once(str(published[0].parent), f"reads {chosen[0].name} of {len(published)} lists")
    return chosen[0]
