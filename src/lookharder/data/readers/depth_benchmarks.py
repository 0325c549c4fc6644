"""Depth benchmarks of Marigold's protocol, in the layouts of its archives and of their publishers.

    kitti_eigen   DATE/DRIVE/image_02/data/N.png                                                       / 256 = metres
                  [train|val/]DRIVE/proj_depth/groundtruth/image_02/N.png
    eth3d         [rgb/]SCENE/images/dslr_images/N.JPG      float32, rows down, infinite where not known, in
                  [depth/SCENE_dslr_depth/]SCENE/ground_truth_depth/dslr_images/N.JPG
    scannet       SCENE/color/N.jpg  SCENE/depth/N.png                                                 / 1000 = metres
    diode         [val/]indoors|outdoor/SCENE/SCAN/N.png  N_depth.npy  N_depth_mask.npy                    metres

`list=FILE` reads the pairs of one of Marigold's lists ("PICTURE DEPTH" a line), beside the data or anywhere; else all
that are there are read. Sources: Eigen et al. (NIPS 2014), Garg et al. (ECCV 2016), Uhrig et al. (3DV 2017); Schoeps et
al., ETH3D (CVPR 2017); Dai et al., ScanNet (CVPR 2017); Vasiljevic et al., DIODE (1908.00463); prs-eth/Marigold.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lookharder.data.example import Example
from lookharder.data.formats import read_image, read_npy
from lookharder.data.formats.guard import read_exactly
from lookharder.data.readers.rows import ManifestRow, Rows, list_files, read_row, within
from lookharder.errors import InputError
from lookharder.files import file_size, opened, read_text

BENCHMARK = (
    352,
    1216,
)  # rows and columns of KITTI's benchmark, which are cut out at the bottom, in the middle
MASKS = {  # first and last row and column that are scored, as shares of height and width
    "eigen": (0.3324324, 0.91351351, 0.0359477, 0.96405229),
    "garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
    "none": (0.0, 1.0, 0.0, 1.0),
}
PARTS = {"all": ("indoors", "outdoor"), "indoors": ("indoors",), "outdoor": ("outdoor",)}


def listed_pairs(root: Path, listing: str) -> list[tuple[str, str]]:
    """Picture and depth of each line of a list; those without depth, "None", are left out.

    Raises:
        InputError: no such list, or a line that is no pair.
    """
    path = root / listing
    pairs = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.split()
        if len(words) == 1:
            raise InputError(f"{path}, line {number}", repr(line), "'PICTURE DEPTH'")
        if words and words[1] != "None":
            pairs.append((words[0], words[1]))
    return pairs


class KittiEigen:
    """Street pictures, cut to KITTI's benchmark, with the improved laser depth.

    Args:
        root: the folder of the drives, or of `train` and `val` with depth.
        listing: a list of pairs; None = all that are there.
        mask: what is scored: "eigen", "garg" or "none".
    """

    def __init__(self, root: str | Path, listing: str | None = None, mask: str = "eigen") -> None:
        if mask not in MASKS:
            raise InputError("mask", repr(mask), ", ".join(MASKS))
        self.mask, root = MASKS[mask], Path(root)
        if listing is not None:
            pairs = listed_pairs(root, listing)
            self.rows = [_street(root, image, root / depth) for image, depth in pairs]
        else:
            self.rows = [
                _street(root, _picture_of(depth), depth)
                for depth in list_files(root, "**/proj_depth/groundtruth/image_02/*.png")
            ]
        if not self.rows:
            raise InputError(str(root), "no picture with depth", "at least one")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int, /) -> Example:
        whole = read_row(self.rows[index])
        assert whole.depth is not None
        height, width = whole.depth.shape
        if height < BENCHMARK[0] or width < BENCHMARK[1]:
            got = f"{width} x {height} pixels"
            raise InputError(whole.name, got, "1216 x 352 or more, which are cut out")
        top, left = height - BENCHMARK[0], int((width - BENCHMARK[1]) / 2)
        cut = (..., slice(top, None), slice(left, left + BENCHMARK[1]))
        depth, shares = np.ascontiguousarray(whole.depth[cut]), self.mask
        inside = np.zeros(BENCHMARK, bool)
        rows = slice(int(shares[0] * BENCHMARK[0]), int(shares[1] * BENCHMARK[0]))
        inside[rows, int(shares[2] * BENCHMARK[1]) : int(shares[3] * BENCHMARK[1])] = True
        image = np.ascontiguousarray(whole.image[cut])
        return replace(whole, image=image, depth=depth, depth_valid=inside & (depth > 0))


def _street(root: Path, image: str, depth: Path) -> ManifestRow:
    name = image.removesuffix(".png")
    return ManifestRow(name=name, image=root / image, depth=depth, depth_scale=256.0)


def _picture_of(depth: Path) -> str:
    """DATE/DRIVE/image_02/data/N.png; the name of a drive begins with its date."""
    drive = depth.parents[3].name
    return f"{drive[:10]}/{drive}/image_02/data/{depth.name}"


class Eth3d:
    """Photographs of 24 megapixels with laser depth, as Marigold reads them.

    Args:
        root: the folder of `rgb` and `depth`, or of the scenes.
    """

    def __init__(self, root: str | Path) -> None:
        self.depths = list_files(Path(root), "**/ground_truth_depth/dslr_images/*.JPG")
        self.pictures = {
            (path.parents[2].name, path.name): path
            for path in list_files(Path(root), "**/images/dslr_images/*.JPG")
        }
        lost = [path for path in self.depths if self._key(path) not in self.pictures]
        if lost:
            scene, name = self._key(lost[0])
            raise InputError(str(root), f"no {scene}/images/dslr_images/{name}", "as for all depth")

    @staticmethod
    def _key(depth: Path) -> tuple[str, str]:
        return depth.parents[2].name, depth.name

    def __len__(self) -> int:
        return len(self.depths)

    def __getitem__(self, index: int, /) -> Example:
        path = self.depths[index]
        scene, name = self._key(path)
        image = read_image(self.pictures[scene, name], upright=False)
        height, width = image.shape[1:]
        with opened(path) as handle:
            what = f"{width} x {height} floats, as the picture has pixels"
            data = read_exactly(handle, path, 0, file_size(handle), 4 * height * width, what)
        stored = np.frombuffer(data, "<f4").reshape(height, width).astype(np.float32)
        valid = np.isfinite(stored) & (stored > 0)
        depth = np.where(valid, stored, np.float32(0))
        return Example(
            name=f"{scene}/{Path(name).stem}", image=image, depth=depth, depth_valid=valid
        )


def open_scannet(root: str | Path, listing: str | None = None) -> Rows:
    """Frames of hand-held scans with Kinect depth, picture and depth of one size.

    Args:
        root: the folder of the scenes.
        listing: a list of pairs; None = all that are there.

    Raises:
        InputError: the list or the folder is missing, or nothing is there.
    """
    root = Path(root)
    if listing is None:
        depths = list_files(root, "scene*/depth/*.png")
        found: Sequence[tuple[Path, Path]] = [
            (path.parents[1] / "color" / f"{path.stem}.jpg", path) for path in depths
        ]
    else:
        found = [(root / image, root / depth) for image, depth in listed_pairs(root, listing)]
    rows = [
        ManifestRow(
            name=f"{image.parents[1].name}/{image.stem}",
            image=image,
            depth=depth,
            depth_scale=1000.0,
        )
        for image, depth in found
    ]
    return Rows(rows, root)


class Diode:
    """Laser depth of rooms and of the open, with the set's own mask.

    Args:
        root: the folder of `indoors` and `outdoor`, or of `val`.
        part: "all", "indoors" or "outdoor".
    """

    def __init__(self, root: str | Path, part: str = "all") -> None:
        if part not in PARTS:
            raise InputError("part", repr(part), ", ".join(PARTS))
        self.root = within(Path(root), "*/scene_*", "val")
        pattern = "scene_*/scan_*/*_depth.npy"
        wanted = [self.root / name for name in PARTS[part]]
        there = [folder for folder in wanted if folder.is_dir()] or wanted
        self.depths = [path for folder in there for path in list_files(folder, pattern)]

    def __len__(self) -> int:
        return len(self.depths)

    def __getitem__(self, index: int, /) -> Example:
        path = self.depths[index]
        stem = path.name.removesuffix("_depth.npy")
        image = read_image(path.with_name(f"{stem}.png"))
        masks = path.with_name(f"{stem}_depth_mask.npy")
        depth, mask = (np.atleast_2d(read_npy(each).squeeze()) for each in (path, masks))
        for each, file in ((depth, path), (mask, masks)):
            if each.shape != image.shape[1:]:
                raise InputError(str(file), f"shape {each.shape}", f"{image.shape[1:]}")
        valid = (mask > 0) & np.isfinite(depth) & (depth > 0)
        name = path.with_name(stem).relative_to(self.root).as_posix()
        stored = np.where(valid, depth, 0).astype(np.float32)
        return Example(name=name, image=image, depth=stored, depth_valid=valid)
