"""Does a motion explain two pictures, and what motion near it explains them best?

    warp(second, flow)                      the second picture as seen from the first, if the motion is right
    fit(first, second, known, proposed)     a better motion than is known, where there is one

A network proposes; the pictures decide. At each pixel the motion is kept that explains its neighbourhood better, and
handed on to places near by, where it may explain more still (as in PatchMatch: Barnes et al., SIGGRAPH 2009). Then it
is refined as a whole: pictures that match, and motion that is smooth but at edges (Brox et al., ECCV 2004, by OpenCV).
The pictures are compared after their local mean and contrast are taken out: exposure and vignetting do not matter.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lookharder.shapes import FlowField, Images

REACH = (16, 4)  # pixels to places that a motion is handed on to
SURER = 0.9  # of the cost there: what is handed on must explain that much more
STEPS = 10  # of a refinement, each from the motion that the one before found
GREY = 40.0  # levels of grey, of which OpenCV expects 256, to a deviation of 1
SMOOTH, GRADIENT, COLOUR = 20.0, 10.0, 1.0  # weights of a smooth motion, and of pictures that match
FASTER = 1.95  # share of a step that each of OpenCV's rounds takes; its own 1.6 leaves slow errors
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
    """At each pixel the motion that explains the pictures better, handed on to where it explains more, and refined.

    Args:
        first: (B, 3, H, W).
        second: likewise.
        known: motion from first to second, pixels.
        proposed: likewise.
    """
    pictures = _contrast(first), _contrast(second)
    return refine(pictures, _spread(pictures, _better(pictures, known, proposed)))


def refine(pictures: tuple[Images, Images], flow: FlowField) -> Float[Tensor, "B 2 H W"]:
    """The motion near by that makes the pictures match and is smooth but at edges; found on the CPU.

    Args:
        pictures: first and second, (B, 3, H, W), of a deviation of about 1.
        flow: motion from first to second, pixels.
    """
    import cv2

    search = cv2.VariationalRefinement.create()
    search.setAlpha(SMOOTH)
    search.setGamma(GRADIENT)
    search.setDelta(COLOUR)
    search.setOmega(FASTER)
    first, second = ((GREY * each.mean(1)).float().cpu().numpy() for each in pictures)
    found = flow.float().cpu().clone(memory_format=torch.contiguous_format)  # written to
    for a, b, (u, v) in zip(first, second, found.numpy(), strict=True):
        for _ in range(STEPS):
            search.calcUV(a, b, u, v)
    return found.to(flow)


def _spread(pictures: tuple[Images, Images], flow: FlowField) -> Float[Tensor, "B 2 H W"]:
    """Motion handed on, from far to near, to where it explains the pictures clearly better."""
    cost = _cost(pictures, flow)
    for reach in REACH:
        for down, right in ((0, reach), (0, -reach), (reach, 0), (-reach, 0)):
            other = _shift(flow, down, right)
            theirs = _cost(pictures, other)
            taken = theirs < SURER * cost
            flow, cost = torch.where(taken, other, flow), torch.where(taken, theirs, cost)
    return flow


def _shift(flow: FlowField, down: int, right: int) -> Float[Tensor, "B 2 H W"]:
    """The motion so many pixels below and to the right of each; the border goes on."""
    height, width = flow.shape[-2:]
    rows = (torch.arange(height, device=flow.device) + down).clamp(0, height - 1)
    columns = (torch.arange(width, device=flow.device) + right).clamp(0, width - 1)
    return flow[..., rows, :][..., columns]


def _better(
    pictures: tuple[Images, Images], known: FlowField, other: FlowField
) -> Float[Tensor, "B 2 H W"]:
    """At each pixel the motion that explains its neighbourhood better; the known one where they are equal."""
    return torch.where(_cost(pictures, other) < _cost(pictures, known), other, known)


def _cost(pictures: tuple[Images, Images], flow: FlowField) -> Float[Tensor, "B 1 H W"]:
    """How badly a motion explains the neighbourhood of each pixel, of what stays in the frame; else infinite."""
    first, second = pictures
    seen = inside(flow)
    rest = seen * (warp(second, flow) - first).abs().mean(1, keepdim=True)
    share = _mean(seen, 9)
    return torch.where(share > 0, _mean(rest, 9) / share, torch.inf)


def _contrast(picture: Images) -> Images:
    """A picture less its local mean, over its local deviation."""
    rest = picture - _smooth(picture)
    spread = _smooth(rest.square().mean(1, keepdim=True))
    return rest / (spread + NOISE).sqrt()


def _mean(values: Float[Tensor, "B C H W"], side: int) -> Float[Tensor, "B C H W"]:
    """Mean over a square of an odd side; the border goes on."""
    wide = F.pad(values, (side // 2,) * 4, mode="replicate")
    return _run(_run(wide, side, 3), side, 2) / side**2


def _run(values: Float[Tensor, "B C H W"], many: int, dim: int) -> Float[Tensor, "B C h w"]:
    """Sums of so many in a row, from sums of half as many."""
    if many == 1:
        return values
    half, length = many // 2, values.shape[dim] - many + 1
    sums = _run(values, half, dim)
    total = sums.narrow(dim, 0, length) + sums.narrow(dim, half, length)
    return total + values.narrow(dim, many - 1, length) if many % 2 else total


def _smooth(values: Float[Tensor, "B C H W"], side: int = 5) -> Float[Tensor, "B C H W"]:
    """Nearly a Gaussian: twice a mean; its deviation is 2 pixels for a side of 5."""
    return _mean(_mean(values, side), side)
