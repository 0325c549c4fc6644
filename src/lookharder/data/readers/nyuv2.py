"""NYU Depth V2, the labelled set (Silberman et al., ECCV 2012): rooms, with depth along the optical axis; three forms.

    FOLDER/NNNNN.jpg  NNNNN_depth.png       320 x 240; 8 bits, / 25.5 = metres, 0 to 10; holes filled by the authors
    FOLDER or FILE.tar with test/SCENE/rgb_NNNN.png  depth_NNNN.png      Marigold's; 640 x 480; 16 bits, / 1000 = metres
    nyu_depth_v2_labeled.mat  splits.mat    images and rawDepths of 1,449 pictures, as published (needs h5py)

NNNNN is the index in the labelled set, of which 795 pictures are for training and 654 for tests. Neighbours are frames
of one room, so the validation split is a block of indices, 01251 and up: the 95 largest of training. A white frame is
cut off: what is left are columns 41 to 600 and rows 45 to 470 of 640 x 480 (Eigen et al. 2014), where all published
scores are taken. Of the small form the picture is cut; of the others it is whole, and depth outside is not scored.
"""

import tarfile
from pathlib import Path

import numpy as np

from lookharder.data.example import Dataset, Example
from lookharder.data.formats import read_depth_png, read_image
from lookharder.data.formats.guard import decoding
from lookharder.data.formats.hdf5 import open_hdf5
from lookharder.data.readers.rows import list_files, within
from lookharder.errors import InputError
from lookharder.files import opened

FIRST_VALIDATION = 1251
SIDES = (3, 240, 320)
INSIDE = (..., slice(22, 235), slice(20, 300))  # rows and columns
SPLITS = ("train", "val", "all", "test")
EIGEN = (slice(45, 471), slice(41, 601))  # of 640 x 480
LEVELS = np.float32(25.5)  # of a metre


class Nyuv2:
    """The pictures of one split of the small form; files are read when an example is asked for."""

    def __init__(self, root: str | Path, split: str = "all") -> None:
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


class Nyuv2Archive:
    """Pictures and depth of one split, in folders by scene or in a tar of these.

    Args:
        root: the folder that holds the split, or the tar.
        split: "test" or "train".
    """

    def __init__(self, root: Path, split: str = "test") -> None:
        self.root = root
        self.members: dict[str, tuple[int, int]] = {}
        pattern = f"{split}/*/depth_*.png"
        if root.is_dir():
            found = [path.relative_to(root).as_posix() for path in list_files(root, pattern)]
        else:
            with (
                opened(root) as handle,
                decoding(root, "a tar"),
                tarfile.open(fileobj=handle) as tar,
            ):
                for each in tar:
                    if each.isfile():
                        name = each.name.removeprefix("./")
                        self.members[name] = (each.offset_data, each.size)
            found = sorted(name for name in self.members if Path(name).match(pattern))
        if not found:
            raise InputError(str(root), f"nothing like {pattern}", "at least one")
        self.depths = found

    def __len__(self) -> int:
        return len(self.depths)

    def __getitem__(self, index: int, /) -> Example:
        name = self.depths[index]
        scene, _, file = name.rpartition("/")
        number = file.removeprefix("depth_").removesuffix(".png")
        picture = f"{scene}/rgb_{number}.png"
        image = read_image(self.root / picture, data=self._bytes(picture))
        depth = read_depth_png(self.root / name, 1000.0, data=self._bytes(name))
        return _whole(f"{scene}/{number}", image, depth)

    def _bytes(self, name: str) -> bytes | None:
        """Of a member of a tar; None of a file of its own."""
        if not self.members:
            return None
        if name not in self.members:
            raise InputError(str(self.root), f"no {name}", "a picture for each depth")
        offset, size = self.members[name]
        with opened(self.root) as handle:
            handle.seek(offset)
            return handle.read(size)


class Nyuv2Labelled:
    """The labelled set as published, one file for MATLAB and one that says what is for tests.

    Args:
        path: nyu_depth_v2_labeled.mat; splits.mat lies beside it.
        split: "test", "train" or "all"; "val" are the training pictures from 01251 on.
    """

    def __init__(self, path: Path, split: str = "test") -> None:
        self.path, beside = path, path.with_name("splits.mat")
        with opened(beside) as handle, decoding(beside, "a MATLAB file with trainNdxs, testNdxs"):
            from scipy.io import loadmat

            stored = loadmat(handle)
            train, test = (
                sorted(int(i) for i in stored[name].ravel()) for name in ("trainNdxs", "testNdxs")
            )
        late = [index for index in train if index >= FIRST_VALIDATION]
        early = [index for index in train if index < FIRST_VALIDATION]
        chosen = {"test": test, "train": early, "val": late, "all": sorted(train + test)}
        self.indices = chosen[split]
        if not self.indices:
            raise InputError(str(path), f"no picture of the split {split!r}", "at least one")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> Example:
        number = self.indices[index]
        with open_hdf5(self.path, "images", "rawDepths") as (images, depths):
            if images.ndim != 4 or len(images) != len(depths) or not 0 < number <= len(images):
                got = f"images {images.shape}, rawDepths {depths.shape}"
                raise InputError(str(self.path), got, f"picture {number} in both")
            image, depth = images[number - 1], depths[number - 1]  # columns come first in MATLAB
        picture = np.ascontiguousarray(image.transpose(0, 2, 1), np.uint8)
        return _whole(f"{number:05d}", picture, np.ascontiguousarray(depth.T, np.float32))


def _whole(name: str, image: np.ndarray, depth: np.ndarray) -> Example:
    """A picture with its white frame; depth is valid inside of it, where it was measured."""
    for found in (image[0], depth):
        if found.shape != (480, 640):
            got = f"{found.shape[1]} x {found.shape[0]} pixels"
            raise InputError(name, got, "640 x 480, picture and depth")
    inside = np.zeros(depth.shape, bool)
    inside[EIGEN] = True
    known = np.isfinite(depth) & (depth > 0)
    depth = np.where(known, depth, np.float32(0))
    return Example(name=name, image=image, depth=depth, depth_valid=inside & known)


def open_nyuv2(root: str | Path, split: str | None = None) -> Dataset:
    """The pictures of a split, in whichever form they are.

    Args:
        root: a folder, a tar, or the labelled set's .mat.
        split: None = all of the small form, the test split of the others.

    Raises:
        InputError: no such file or folder, or nothing of that split in it.
    """
    root = Path(root)
    if split not in (None, *SPLITS):
        raise InputError("split", repr(split), " | ".join(SPLITS))
    if root.suffix == ".mat":
        return Nyuv2Labelled(root, split or "test")
    if root.suffix == ".tar" or any(root.glob("*/*/depth_*.png")):
        if split not in (None, "test", "train"):
            raise InputError("split", repr(split), "test | train, of folders by scene")
        return Nyuv2Archive(root, split or "test")
    if split == "test":
        raise InputError("split", repr(split), "train | val | all, of pictures of 320 x 240")
    return Nyuv2(root, split or "all")
