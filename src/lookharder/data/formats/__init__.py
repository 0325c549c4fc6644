"""Files in, numpy out, in the project's axes: image (3, H, W), flow (2, H, W), depth, mask (H, W).

    .flo         read_flo, write_flo, known_flow         pixels, u right, v down
    .pfm         read_pfm, write_pfm                     floats as stored
    16-bit PNG   read_depth_png, write_depth_png         metres x scale, 0 = no measurement
                 read_kitti_flow, write_kitti_flow       flow and its validity
                 read_vkitti_flow                        the same in Virtual KITTI 2's units
    .exr .tiff   read_exr, write_exr, read_tiff, write_tiff    maps of float32
    .npy .npz    read_npy, write_npy, read_npz, write_npz      numbers only, never objects
    pictures     read_image, write_image, read_mask, write_mask
    in memory    to_picture, to_mask                     the same of paths, PIL images, arrays, tensors

The invariant: a reader returns exactly what was written, or raises one InputError that names the
file. The size that a header promises is compared with limits and with the size of the file before
anything is allocated, so a truncated or padded file is refused and a small file cannot ask for a
large array. Writers are atomic, and refuse a value that the format cannot hold rather than clip it.
"""

from lookharder.data.formats.arrays import read_npy, read_npz, write_npy, write_npz
from lookharder.data.formats.exr import read_exr, write_exr
from lookharder.data.formats.guard import MAX_PIXELS, MAX_SIDE
from lookharder.data.formats.pictures import (
    PICTURE_SUFFIXES,
    Picture,
    read_image,
    read_mask,
    to_mask,
    to_picture,
    write_image,
    write_mask,
)
from lookharder.data.formats.png16 import (
    read_depth_png,
    read_kitti_flow,
    read_vkitti_flow,
    write_depth_png,
    write_kitti_flow,
)
from lookharder.data.formats.raw import known_flow, read_flo, read_pfm, write_flo, write_pfm
from lookharder.data.formats.tiff import read_tiff, write_tiff

__all__ = [
    "MAX_PIXELS",
    "MAX_SIDE",
    "PICTURE_SUFFIXES",
    "Picture",
    "known_flow",
    "read_depth_png",
    "read_exr",
    "read_flo",
    "read_image",
    "read_kitti_flow",
    "read_mask",
    "read_npy",
    "read_npz",
    "read_pfm",
    "read_tiff",
    "read_vkitti_flow",
    "to_mask",
    "to_picture",
    "write_depth_png",
    "write_exr",
    "write_flo",
    "write_image",
    "write_kitti_flow",
    "write_mask",
    "write_npy",
    "write_npz",
    "write_pfm",
    "write_tiff",
]
