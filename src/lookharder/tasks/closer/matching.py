"""Does a motion explain two pictures, and what motion near it explains them best?

    warp(second, flow)                      the second picture as seen from the first, if the motion is right
    fit(first, second, known, proposed)     a better motion than is known, where there is one

A network proposes; the pictures decide. What it proposes is polished by Gauss-Newton steps on the difference of the
pictures (Lucas & Kanade 1981; symmetric gradients, robust weights, a median between steps: Sun et al., CVPR 2010), and
taken only at pixels whose neighbourhood it explains better than what was known. The pictures are compared after their
local mean and contrast are taken out, so exposure and vignetting do not matter.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lookharder.shapes import FlowField, Images

STEPS = 3  # of Gauss-Newton
LONGEST = 1.0  # pixels of a step: beyond, the pictures are no longer nearly straight
DAMPING = 0.05  # of the squared gradient: what is flat stays where it is
OUTLIER = 0.3  # squared difference at which a pixel counts half
NOISE = 0.003  # variance of a picture, in [-1, 1], below which contrast is not stretched


def warp(second: Float[Tensor, "B C H W"], flow: FlowField) -> Float[Tensor, "B C H W"]:
    """The second picture at the place to which each pixel of the first moves; bilinear, its border goes on."""
    height, width = flow.shape[-2:]
    rows = torch.arange(height, device=flow.device) + 0.5
    columns = torch.arange(width, device=flow.device) + 0.5
    x = (columns + flow[:, 0]) * (2 / width) - 1
    y = (rows[:, None] + flow[:, 1]) * (2 / height) - 1
    where = torch.stack([x, y], dim=-1)
    return F.grid_sample(second, where, padding_mode="border", align_corners=False)


def inside(flow: FlowField) -> Float[Tensor, "B 1 H W"]:
    """1 where a pixel moves to a place within the frame, 0 where it leaves it."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device) + flow[:, 0]
    y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]
    within = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return within[:, None].to(flow.dtype)


def fit(first: Images, second: Images, known: FlowField, proposed: FlowField) -> FlowField:
    """The proposed motion, polished, where it explains the pictures better than the known one.

    Args:
        first: (B, 3, H, W).
        second: likewise.
        known: motion from first to second, pixels.
        proposed: likewise.
    """
    flow = polish(first, second, proposed)
    better = _cost(first, second, flow) < _cost(first, second, known)
    return torch.where(better, flow, known)


def polish(
    first: Images, second: Images, flow: FlowField, steps: int = STEPS
) -> Float[Tensor, "B 2 H W"]:
    """Gauss-Newton steps towards the motion that explains the pictures best, each pixel with its neighbours."""
    first, second = _contrast(first), _contrast(second)
    own = _gradient(first)
    target = torch.cat([second, *_gradient(second)], dim=1)
    for _ in range(steps):
        there, right, down = warp(target, flow).chunk(3, dim=1)
        right, down = (right + own[0]) / 2, (down + own[1]) / 2
        rest = there - first
        weight = inside(flow) / (1 + rest.square().mean(1, keepdim=True) / OUTLIER)
        products = (right * right, right * down, down * down, right * rest, down * rest)
        sums = torch.cat([(weight * each).sum(1, keepdim=True) for each in products], dim=1)
        xx, xy, yy, xr, yr = _smooth(sums, 7).unbind(1)
        xx, yy = xx + DAMPING, yy + DAMPING
        step = torch.stack([xy * yr - yy * xr, xy * xr - xx * yr], dim=1)
        step = step / (xx * yy - xy * xy)[:, None]
        length = step.norm(dim=1, keepdim=True)
        flow = _median(flow + step * (LONGEST / length.clamp_min(LONGEST)))
    return flow


def _cost(first: Images, second: Images, flow: FlowField) -> Float[Tensor, "B 1 H W"]:
    """How badly a motion explains the neighbourhood of each pixel, of what stays in the frame; else infinite."""
    seen = inside(flow)
    rest = seen * (warp(second, flow) - first).abs().mean(1, keepdim=True)
    share = _mean(seen, 9)
    return torch.where(share > 0, _mean(rest, 9) / share, torch.inf)


def _contrast(picture: Images) -> Images:
    """A picture less its local mean, over its local deviation."""
    rest = picture - _smooth(picture)
    spread = _smooth(rest.square().mean(1, keepdim=True))
    return rest / (spread + NOISE).sqrt()


def _gradient(picture: Images) -> tuple[Images, Images]:
    """Central differences to the right and down."""
    wide = F.pad(picture, (1, 1, 1, 1), mode="replicate")
    right = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2
    return right, (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2


def _mean(values: Float[Tensor, "B C H W"], side: int) -> Float[Tensor, "B C H W"]:
    """Mean over a square of an odd side; the border goes on."""
    wide = F.pad(values, (side // 2,) * 4, mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(wide, (1, side), stride=1), (side, 1), stride=1)


def _smooth(values: Float[Tensor, "B C H W"], side: int = 5) -> Float[Tensor, "B C H W"]:
    """Nearly a Gaussian: twice a mean; its deviation is 2 pixels for a side of 5, 2.8 for 7."""
    return _mean(_mean(values, side), side)


def _median(flow: FlowField, side: int = 3) -> FlowField:
    """Median of u and of v over a square."""
    wide = F.pad(flow, (side // 2,) * 4, mode="replicate")
    height, width = flow.shape[-2:]
    shifted = [wide[..., i : i + height, j : j + width] for i in range(side) for j in range(side)]
    return torch.stack(shifted).median(0).values
