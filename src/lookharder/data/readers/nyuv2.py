"""NYU Depth V2, the labelled set (Silberman et al., ECCV 2012): rooms, with dense depth along the optical axis.

    NNNNN.jpg          picture, 320 x 240
    NNNNN_depth.png    8 bits, / 25.5 = metres, 0 to 10; the depth that the authors filled in

NNNNN is the index in the labelled set, of which 795 pictures are for training. Neighbours are frames of one room, so
the validation split is a block of indices, 01251 and up: the 95 largest. A white frame is cut off: what is left are
columns 41 to 600 and rows 45 to 470 of 640 x 480 (Eigen et al. 2014), where all published scores are taken.
"""

from pathlib import Path

import numpy as np

from lookharder.data.example import Example
from lookharder.data.formats import read_image
from lookharder.data.readers.rows import list_files, within
from lookharder.errors import InputError

FIRST_VALIDATION = 1251
SIDES = (3, 240, 320)
INSIDE = (..., slice(22, 235), slice(20, 300))  # rows and columns
SPLITS = ("train", "val", "all")
LEVELS = np.float32(25.5)  # of a metre


class Nyuv2:
    """The pictures of one split; files are read when an example is asked for."""

    def __init__(self, root: str | Path, split: str = "all") -> None:
        if split not in SPLITS:
            raise InputError("split", repr(split), " | ".join(SPLITS))
        self.depths: list[Path] = []
        pattern = "*_depth.png"
        for path in list_files(within(Path(root), pattern, "train"), pattern):
            name = path.name.removesuffix("_depth.png")
            if not name.isdecimal():
                raise InputError(str(path), name, "NNNNN_depth.png, an index")
            if split == "all" or (int(name) >= FIRST_VALIDATION) == (split == "val"):
                self.depths.append(path)
        if not self.depths:
            raise InputError(str(root), f"no picture of the split {split!r}", "at least one")

    def __len__(self) -> int:
        return len(self.depths)

    def __getitem__(self, index: int, /) -> Example:
        path = self.depths[index]
        name = path.name.removesuffix("_depth.png")
        image, stored = read_image(path.with_name(f"{name}.jpg")), read_image(path, exact=True)
        for found in (image, stored):
            if found.shape != SIDES:
                got = f"{found.shape[2]} x {found.shape[1]} pixels"
                raise InputError(str(path), got, "320 x 240, picture and depth")
        depth = stored[0][INSIDE] / LEVELS
        image = np.ascontiguousarray(image[INSIDE])
        return Example(name=name, image=image, depth=depth, depth_valid=depth > 0)
