"""Judges without ground truth: scores of a prediction that need only the pictures; higher is better, 0 or 1 is best.

    depth    agreement of the maps of a picture and of its mirror image, or of a part of it   [-1, 0]
    flow     photometric: second(x + flow(x)) = image(x)                                       <= 0, [-1, 1] colours
             forward-backward: flow(x) + backward(x + flow(x)) = 0                             <= 0, pixels
    amodal   share of the visible part inside the mask; agreement of masks under mirroring     [0, 1]

Each asks whether a prediction keeps a symmetry of the world that the truth keeps, so the truth scores best, up to
occlusion and resampling; the converse does not hold: a flat map agrees with its mirror image. A score compares the
draws of one picture; it is not an error.

The transformations come in pairs: what is done to a batch (`flip`, `Window.crop`), and what undoes it on a prediction
(`flip_map`, `flip_flow`, `Window.paste`), so that undo(predict(do(batch))) lies on the pixels of predict(batch).
Draws are scored together by putting them along the first axis: (N, ...) with the pictures expanded to N.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from lookharder.data.example import Batch
from lookharder.errors import InputError
from lookharder.shapes import DepthMap, FlowField, Images, Mask

SOFTNESS = 1e-3  # residuals far below it count squared, far above it by their size (Charbonnier)
CONSTANT = 1e-6  # a map whose deviation is this share of its size has no shape

Scores = Float[Tensor, "B"]


# Transformations of the input, and what undoes them


def flip_map(values: Tensor) -> Tensor:
    """(..., W) mirrored left to right: pictures, depth, masks, uncertainty; its own inverse."""
    return values.flip(-1)


def flip_flow(flow: FlowField) -> FlowField:
    """A flow field of the mirrored pictures: what moved right moves left; its own inverse."""
    return flip_map(flow) * flow.new_tensor([-1.0, 1.0])[:, None, None]


def flip(batch: Batch) -> Batch:
    """The mirror image of a batch, pictures, masks and ground truth; its own inverse."""
    maps = {name: flip_map(value) for name, value in _maps(batch).items()}
    if batch.flow is not None:
        maps["flow"] = flip_flow(batch.flow)
    return replace(batch, **maps)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A rectangle of pixels of a frame.

    Attributes:
        top: first row.
        left: first column.
        height: rows.
        width: columns.
    """

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.top, self.left) < 0 or min(self.height, self.width) < 1:
            raise InputError("window", self, "top, left >= 0 and height, width >= 1")

    def cut(self, values: Tensor) -> Tensor:
        """(..., H, W) -> (..., height, width): the part inside.

        Raises:
            InputError: the window does not fit into the frame.
        """
        self._fit(*values.shape[-2:])
        return values[..., self.top : self.top + self.height, self.left : self.left + self.width]

    def crop(self, batch: Batch) -> Batch:
        """The part of a batch inside; flow stays in pixels, because nothing is resized."""
        return replace(batch, **{name: self.cut(value) for name, value in _maps(batch).items()})  # type: ignore[arg-type]

    def paste(self, values: Tensor, height: int, width: int) -> Tensor:
        """(..., height, width) -> (..., H, W): back to its place in a frame, 0 or False outside; undoes `cut`.

        Args:
            values: of the window's size.
            height: H of the frame.
            width: W of the frame.

        Raises:
            InputError: the values are not of the window's size, or the window does not fit.
        """
        self._fit(height, width)
        if values.shape[-2:] != (self.height, self.width):
            got, size = tuple(values.shape[-2:]), (self.height, self.width)
            raise InputError("values", f"size {got}", f"the window's, {size}")
        frame = values.new_zeros(*values.shape[:-2], height, width)
        self.cut(frame).copy_(values)
        return frame

    def inside(self, height: int, width: int) -> Bool[Tensor, "H W"]:
        """True in the window, for a frame of this size."""
        return self.paste(torch.ones(self.height, self.width, dtype=torch.bool), height, width)

    def _fit(self, height: int, width: int) -> None:
        if self.top + self.height > height or self.left + self.width > width:
            raise InputError("window", self, f"one inside a frame of {height}x{width}")


# Depth


def depth_agreement(first: DepthMap, second: DepthMap, mask: Mask | None = None) -> Scores:
    """How well one map is the other up to a scale > 0 and a shift; symmetric, blind to scale and shift of both.

        -sqrt(1 - max(r, 0)^2)          r = their correlation over the mask

    is the negative RMS residual of either after a least-squares fit of the other, over its deviation.

    Args:
        first: depth, in any unit.
        second: depth of the same scene, transformation undone.
        mask: pixels that count, e.g. those of a crop; None for all.

    Returns:
        (B,) in [-1, 0]. -1 also where a map is constant or the mask is empty: nothing agrees.
    """
    weight = torch.ones_like(first, dtype=torch.bool) if mask is None else mask
    x, y = _standardised(first, weight), _standardised(second, weight)  # (B, P), of norm 1 or 0
    r = (x * y).sum(1, keepdim=True).clamp_min(0)
    residual = (y - r * x).square().sum(1).sqrt().clamp_max(1)
    alive = (x.abs().amax(1) > 0) & (y.abs().amax(1) > 0)
    return -torch.where(alive, residual, 1.0).to(first.dtype)


# Flow


def warp(
    values: Float[Tensor, "B C H W"], flow: FlowField
) -> tuple[Float[Tensor, "B C H W"], Bool[Tensor, "B H W"]]:
    """Values where the flow points: out(x) = values(x + flow(x)), bilinear.

    Args:
        values: maps of the frame that the flow points into.
        flow: pixels.

    Returns:
        The values, those of the nearest pixel of the border outside the frame; and where the flow
        stays between the centres of the frame's pixels.
    """
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype) + flow[:, 0]
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None] + flow[:, 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    out = F.grid_sample(values, grid, "bilinear", padding_mode="border", align_corners=False)
    return out, inside


def photometric_consistency(
    image: Images, second: Images, flow: FlowField, valid: Mask | None = None
) -> Scores:
    """Is the second picture, looked up where the flow points, the first?

        -mean over pixels and colours of sqrt((second(x + flow) - image(x))^2 + s^2) - s

    The mean is over pixels whose flow stays in the frame, so flows that push different pixels out of it are judged on
    different pixels: pass the pixels that all of them keep (`warp`) as `valid` to compare them.

    Args:
        image: the first picture, in [-1, 1].
        second: the second.
        flow: pixels, from the first to the second.
        valid: pixels that count, e.g. those not occluded; None for all.

    Returns:
        (B,), at most 0; -inf where no pixel is left to judge.
    """
    found, inside = warp(second, flow)
    return _penalty((found - image), inside if valid is None else inside & valid)


def forward_backward_consistency(
    flow: FlowField, backward: FlowField, valid: Mask | None = None
) -> Scores:
    """Does the way back lead back? Charbonnier of each component of flow(x) + backward(x + flow(x)), pixels.

    Args:
        flow: pixels, from the first picture to the second.
        backward: pixels, from the second picture to the first.
        valid: as in `photometric_consistency`; occluded pixels have no way back.

    Returns:
        (B,), at most 0; -inf where no pixel is left to judge.
    """
    found, inside = warp(backward, flow)
    return _penalty(flow + found, inside if valid is None else inside & valid)


# Masks


def containment(mask: Mask, visible: Mask) -> Scores:
    """Share of the visible part inside the mask, in [0, 1]; 1 where nothing is visible."""
    return _share((mask & visible).flatten(1).sum(1), visible.flatten(1).sum(1))


def mask_agreement(first: Mask, second: Mask) -> Scores:
    """Intersection over union, in [0, 1]; 1 where both are empty."""
    return _share((first & second).flatten(1).sum(1), (first | second).flatten(1).sum(1))


def _maps(batch: Batch) -> dict[str, Tensor]:
    """The fields that have pixels."""
    return {
        name: value
        for name, value in vars(batch).items()
        if isinstance(value, Tensor) and value.ndim > 1
    }


def _standardised(values: DepthMap, mask: Mask) -> Float[Tensor, "B P"]:
    """Values in the mask, centred and of norm 1; zeros where they are constant."""
    inside = mask.flatten(1)
    kept = torch.where(inside, values.flatten(1), 0.0).double()
    count = inside.sum(1, keepdim=True).clamp_min(1)
    mean = kept.sum(1, keepdim=True) / count
    centred = torch.where(inside, kept - mean, 0.0)
    norm = centred.square().sum(1, keepdim=True).sqrt()
    alive = norm > CONSTANT * count.sqrt() * mean.abs()
    return torch.where(alive, centred / torch.where(alive, norm, 1.0), 0.0)


def _penalty(residual: Float[Tensor, "B C H W"], mask: Mask) -> Scores:
    """Minus the mean Charbonnier penalty over the pixels of the mask and all channels."""
    robust = ((residual.square() + SOFTNESS**2).sqrt() - SOFTNESS).mean(1)
    total = torch.where(mask, robust, 0.0).flatten(1).sum(1)
    count = mask.flatten(1).sum(1)
    return torch.where(count > 0, -total / count.clamp_min(1), -torch.inf)


def _share(part: Tensor, whole: Tensor) -> Scores:
    return torch.where(whole > 0, part / whole.clamp_min(1), 1.0)
