"""Does a motion explain two pictures, and what motion near it explains them best?

    warp(second, flow)                      the second picture as seen from the first, if the motion is right
    fit(first, second, known, proposed)     a better motion than is known, where there is one

A network proposes; the pictures decide. At each pixel the motion is kept that explains its neighbourhood better, and
handed on to places near by, where it may explain more still (as in PatchMatch: Barnes et al., SIGGRAPH 2009). Then both
the known and the chosen motion are refined as a whole: pictures that match, and motion that is smooth but at edges
(Brox et al., ECCV 2004; robust weights, a median between steps: Sun et al., CVPR 2010). The pictures are compared after
their local mean and contrast are taken out, so exposure and vignetting do not matter.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lookharder.shapes import FlowField, Images
from lookharder.tasks.merge.rank import lower_median

REACH = (32, 16, 8, 4)  # pixels to places that a motion is handed on to
SURER = 0.9  # of the cost there: what is handed on must explain that much more
STEPS, INNER = 3, 20  # linearisations, and rounds on the equations of each
LONGEST = 2.0  # pixels of a step: beyond, the pictures are no longer nearly straight
RADIUS = 0.97  # of convergence that Jacobi's method is taken to have
SMOOTH = 4.0  # weight of a difference of motion between neighbours, beside one of the pictures
JUMP = 0.3  # pixels between neighbours, from which a difference of motion counts less
EDGE = 5.0  # how soon an edge of the first picture, in [-1, 1], lets motion differ
OUTLIER = 0.1  # difference of the pictures from which a pixel counts less
TINY = 1e-4  # a picture of one pixel has neither gradient nor neighbour
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
    """The proposed motion, refined, where it explains the pictures better than the known one.

    Args:
        first: (B, 3, H, W).
        second: likewise.
        known: motion from first to second, pixels.
        proposed: likewise.
    """
    ties = _ties(first)
    pictures = _contrast(first), _contrast(second)
    chosen = _spread(pictures, _better(pictures, known, proposed))
    known, chosen = (refine(pictures, flow, ties) for flow in (known, chosen))
    return _better(pictures, known, chosen)


def refine(
    pictures: tuple[Images, Images], flow: FlowField, ties: Float[Tensor, "4 B 1 H W"]
) -> Float[Tensor, "B 2 H W"]:
    """Steps towards the motion that makes the pictures match and that is smooth where they are.

    Each solves, for a change d of the motion, the linear equations at which

        robust |second(x + flow + d) - first(x)|^2 + SMOOTH sum over neighbours of ties robust |flow + d - theirs|^2

    is least, the pictures taken as straight; by Jacobi's method, whose every round is a sum over neighbours.
    """
    first, second = pictures
    own = _gradient(first)
    target = torch.cat([second, *_gradient(second)], dim=1)
    for _ in range(STEPS):
        there, right, down = warp(target, flow).chunk(3, dim=1)
        right, down = (right + own[0]) / 2, (down + own[1]) / 2
        rest = there - first
        error = rest.square().mean(1, keepdim=True)
        weight = inside(flow) * OUTLIER / (error + OUTLIER**2).sqrt()
        products = (right * right, right * down, down * down, right * rest, down * rest)
        sums = torch.cat([(weight * each).sum(1, keepdim=True) for each in products], dim=1)
        xx, xy, yy, xr, yr = _smooth(sums, 3).split(1, dim=1)
        pull = SMOOTH * ties * JUMP / (_steps(flow) + JUMP**2).sqrt()
        total = pull.sum(0)
        xx, yy = xx + total + TINY, yy + total + TINY
        inverse = torch.stack([torch.cat([yy, xx], dim=1), -xy.expand_as(flow)])
        inverse = inverse / (xx * yy - xy * xy)
        fixed = -total * flow - torch.cat([xr, yr], dim=1)
        before = moved = flow
        for faster in _chebyshev(INNER):
            drawn = fixed
            for tie, theirs in zip(pull, _neighbours(moved), strict=True):
                drawn = torch.addcmul(drawn, tie, theirs)
            jacobi = flow + inverse[0] * drawn + inverse[1] * drawn.flip(1)
            before, moved = moved, torch.lerp(before, jacobi, faster)
        step = moved - flow
        length = step.norm(dim=1, keepdim=True)
        flow = _median(flow + step * (LONGEST / length.clamp_min(LONGEST)))
    return flow


def _chebyshev(rounds: int) -> list[float]:
    """How far beyond the round before last each round of Jacobi's method goes (Golub & Varga 1961)."""
    factors = [1.0]
    for _ in range(rounds - 1):
        factors.append(1 / (1 - RADIUS**2 * (factors[-1] / 4 if factors[1:] else 0.5)))
    return factors


def _ties(picture: Images) -> Float[Tensor, "4 B 1 H W"]:
    """How firmly the motion of a pixel is tied to its neighbours', less across an edge; 0 beyond the border."""
    across = torch.exp(-EDGE * picture.diff(dim=3).abs().mean(1, keepdim=True))
    along = torch.exp(-EDGE * picture.diff(dim=2).abs().mean(1, keepdim=True))
    pads = (
        (across, (1, 0, 0, 0)),
        (across, (0, 1, 0, 0)),
        (along, (0, 0, 1, 0)),
        (along, (0, 0, 0, 1)),
    )
    return torch.stack([F.pad(each, pad) for each, pad in pads])


def _neighbours(values: Float[Tensor, "B C H W"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(B, C, H, W) of those to the left, right, above and below; the border goes on."""
    wide = F.pad(values, (1, 1, 1, 1), mode="replicate")
    middle = slice(1, -1)
    left, right = wide[..., middle, :-2], wide[..., middle, 2:]
    return left, right, wide[..., :-2, middle], wide[..., 2:, middle]


def _steps(flow: FlowField) -> Float[Tensor, "4 B 1 H W"]:
    """Squared differences from the neighbours' motion."""
    differences = [each - flow for each in _neighbours(flow)]
    return torch.stack([each.square().sum(1, keepdim=True) for each in differences])


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
    return lower_median(torch.stack(shifted))
