"""Hypersim in the layout of Marigold: PNG pairs under a root, named line by line in a list.

    filename_list.txt    "ai_001_010/rgb_cam_00_fr0000.png ai_001_010/depth_plane_cam_00_fr0000.png"
    filename_meta_*.csv  the same pairs (rgb_path, depth_path) beside statistics of each frame

Depth is planar (along the optical axis), 16-bit millimetres, valid inside (1e-5, 65) m.

Marigold trains on 54 of 59 thousand frames. A frame is kept (`keep=marigold`, the default but for a list that says in
its name that it is filtered) where

    depth_max - depth_min >= 0.5 m,   rgb_max - rgb_min >= 10 of 255,   invalid_ratio <= 0.03

Extremes are those of the stored files, in which an invalid pixel is 0 m deep. A CSV gives them; for
the pairs of a plain list each file is read and measured, which is slow for more than a sample.
Source: Roberts et al., Hypersim (ICCV 2021); Ke et al., Marigold (CVPR 2024), its data scripts; the
thresholds: its authors in prs-eth/Marigold issue 158.
"""

import csv
import io
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lookharder.data.formats import read_depth_png, read_image
from lookharder.data.readers.records import Problem
from lookharder.data.readers.rows import ManifestRow, Rows, within
from lookharder.errors import InputError
from lookharder.files import read_text

MIN_DEPTH_RANGE = 0.5  # metres
MIN_RGB_RANGE = 10.0  # of 255
MAX_INVALID = 0.03
LISTING = "filename_list.txt"
KEEP = ("all", "marigold")


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What decides whether a frame is kept; ranges are largest less smallest stored value."""

    depth_range: float
    rgb_range: float
    invalid: float

    def fault(self) -> tuple[str, str] | None:
        """The criterion that the frame does not meet, and by how much; None if it is kept."""
        if not self.depth_range >= MIN_DEPTH_RANGE:
            return "depth", f"range {self.depth_range:g} m, allowed: {MIN_DEPTH_RANGE:g} m or more"
        if not self.rgb_range >= MIN_RGB_RANGE:
            return "image", f"range {self.rgb_range:g}, allowed: {MIN_RGB_RANGE:g} or more"
        if not self.invalid <= MAX_INVALID:
            return "depth", f"{self.invalid:.2%} invalid, allowed: at most {MAX_INVALID:.0%}"
        return None


def measure(row: ManifestRow) -> Statistics:
    """The statistics of a frame from its files."""
    assert row.depth is not None
    image, depth = read_image(row.image), read_depth_png(row.depth)
    return Statistics(
        depth_range=float(depth.max() - depth.min()),
        rgb_range=float(image.max()) - float(image.min()),
        invalid=float((depth == 0).mean()),
    )


def _pairs(path: Path) -> Iterator[tuple[int, str, str, Statistics | None]]:
    """Line, picture, depth map and, from a CSV, statistics of each frame of a list."""
    text = read_text(path)
    if path.suffix.lower() != ".csv":
        for number, line in enumerate(text.splitlines(), start=1):
            names = line.split()
            if len(names) == 1:
                raise InputError(f"{path}, line {number}", repr(line), "'RGB DEPTH'")
            if names:
                yield number, names[0], names[1], None
        return
    lines = csv.DictReader(io.StringIO(text, newline=""))
    for cells in lines:
        try:
            value = {
                name: float(cells[name])
                for name in ("depth_min", "depth_max", "rgb_min", "rgb_max", "invalid_ratio")
            }
            image, depth = cells["rgb_path"], cells["depth_path"]
        except (KeyError, TypeError, ValueError) as error:
            got = f"no column or number ({error})"
            allowed = "rgb_path, depth_path, rgb_min, rgb_max, depth_min, depth_max, invalid_ratio"
            raise InputError(f"{path}, line {lines.line_num}", got, allowed) from error
        if not (all(map(math.isfinite, value.values())) and image and depth):
            raise InputError(f"{path}, line {lines.line_num}", value, "paths and finite numbers")
        statistics = Statistics(
            depth_range=value["depth_max"] - value["depth_min"],
            rgb_range=value["rgb_max"] - value["rgb_min"],
            invalid=value["invalid_ratio"],
        )
        yield lines.line_num, image, depth, statistics


def sift(root: Path, listing: str, keep: str | None) -> tuple[list[ManifestRow], list[Problem]]:
    """The rows that are kept, and for each frame that is not, why.

    What cannot be measured is kept: that it cannot be read is told when it is asked for.

    Raises:
        InputError: the list is missing or not made of pairs.
    """
    keep = keep or ("all" if "filtered" in listing else "marigold")
    if keep not in KEEP:
        raise InputError("keep", repr(keep), ", ".join(KEEP))
    rows, dropped = [], []
    for number, image, depth, statistics in _pairs(root / listing):
        row = ManifestRow(
            name=image.removesuffix(".png"),
            image=root / image,
            depth=root / depth,
            depth_scale=1000.0,
            depth_min=1e-5,
            depth_max=65.0,
        )
        fault = None
        if keep == "marigold":
            with suppress(InputError):
                fault = (statistics or measure(row)).fault()
        if fault is None:
            rows.append(row)
        else:
            field, reason = fault
            dropped.append(Problem(row=number, field=field, message=f"{row.name}: {reason}"))
    return rows, dropped


def open_hypersim(
    root: str | Path,
    listing: str = LISTING,
    keep: str | None = None,
) -> Rows:
    """RGB and depth of the pairs listed in `root`/`listing`, those that Marigold keeps or all.

    Args:
        root: the folder of the list, or of the splits, of which the validation is read.
        listing: name of the list.
        keep: "marigold", "all", or None: as the module says.

    Raises:
        InputError: the list is missing, empty or not made of pairs, or nothing is kept.
    """
    root = within(Path(root), listing, "val", "train", "test")
    rows, dropped = sift(root, listing, keep)
    if not rows and dropped:
        raise InputError(
            str(Path(root) / listing), f"all {len(dropped)} frames dropped", "one kept"
        )
    return Rows(rows, Path(root) / listing)
