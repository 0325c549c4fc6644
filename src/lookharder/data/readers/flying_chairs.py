"""FlyingChairs: 22,872 pairs of frames with exact flow, 512 x 384.

    data/NNNNN_img1.ppm  _img2.ppm  _flow.flo
    FlyingChairs_train_val.txt       line i speaks of the i-th pair: 1 = train, 2 = val

Source: Dosovitskiy et al., FlowNet (ICCV 2015).
"""

from pathlib import Path
from typing import Literal

from lookharder.data.readers.rows import ManifestRow, Rows, list_files, within
from lookharder.errors import InputError
from lookharder.files import read_text

SPLIT_FILE = "FlyingChairs_train_val.txt"
SPLITS = {"train": ("1",), "val": ("2",), "all": ("1", "2")}


def open_flying_chairs(root: str | Path, split: Literal["train", "val", "all"] = "val") -> Rows:
    """Pairs and flow of one split.

    Raises:
        InputError: a folder or the split file is missing, or they do not have equally many pairs.
    """
    if split not in SPLITS:
        raise InputError("split", split, ", ".join(SPLITS))
    root = within(Path(root), "data/*_flow.flo", "FlyingChairs_release", "..")
    flows = list_files(root / "data", "*_flow.flo")
    marks = read_text(root / SPLIT_FILE).split()
    if len(marks) != len(flows) or not set(marks) <= {"1", "2"}:
        allowed = f"{len(flows)} marks, 1 or 2, one for each pair in data"
        raise InputError(
            str(root / SPLIT_FILE), f"{len(marks)} marks {sorted(set(marks))}", allowed
        )
    rows = []
    for flow, mark in zip(flows, marks, strict=True):
        if mark in SPLITS[split]:
            name = flow.name.removesuffix("_flow.flo")
            first, second = (flow.with_name(f"{name}_img{frame}.ppm") for frame in (1, 2))
            rows.append(ManifestRow(name=name, image=first, second=second, flow=flow))
    return Rows(rows, f"{root}, split {split}")
