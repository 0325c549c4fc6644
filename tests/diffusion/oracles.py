"""Denoisers that are exact, so that samplers can be checked against the truth instead of a network."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lookharder.diffusion.denoiser import Denoised, to_eps
from lookharder.diffusion.schedule import NoiseSchedule


@dataclass(frozen=True, kw_only=True)
class GaussianData:
    """Data are N(mean, std^2), each number on its own: E[x0 | x_t] and the probability flow are known."""

    schedule: NoiseSchedule
    mean: float
    std: float

    def __call__(self, x_t: Tensor, t: Tensor) -> Denoised:
        at = self.schedule.at(t, x_t)
        gain = at.alpha * self.std**2 / (at.alpha**2 * self.std**2 + at.sigma**2)
        x0 = self.mean + gain * (x_t - at.alpha * self.mean)
        return Denoised(x0=x0, eps=to_eps("x0", x0, x_t, at))

    def draw(self, x_t: Tensor, t: Tensor, generator: torch.Generator) -> Denoised:
        """A draw from p(x0 | x_t) instead of its mean: steps that use it are exact, however few."""
        at = self.schedule.at(t, x_t)
        spread = at.sigma * self.std / (at.alpha**2 * self.std**2 + at.sigma**2).sqrt()
        x0 = self(x_t, t).x0 + spread * torch.randn(x_t.shape, generator=generator)
        return Denoised(x0=x0, eps=to_eps("x0", x0, x_t, at))

    def flow_to_data(self, x_t: Tensor, t: int) -> Tensor:
        """Where the probability flow takes x_t: it keeps the number of standard deviations from the mean."""
        alpha, sigma = self.schedule.alpha_sigma(t)
        deviations = (x_t - alpha * self.mean) / (alpha**2 * self.std**2 + sigma**2) ** 0.5
        return self.mean + self.std * deviations


@dataclass(frozen=True, kw_only=True)
class FiniteData:
    """Data are a few points (n, c, h, w), equally likely: E[x0 | x_t] is their average by likelihood."""

    schedule: NoiseSchedule
    points: Tensor

    def __call__(self, x_t: Tensor, t: Tensor) -> Denoised:
        at = self.schedule.at(t, x_t)
        centres = at.alpha[..., 0] * self.points.flatten(1)  # (B, n, c h w)
        distances = (x_t.flatten(1)[:, None] - centres).square().sum(-1)  # (B, n)
        weights = torch.softmax(-distances / (2 * at.sigma[..., 0, 0] ** 2), dim=1)
        x0 = (weights @ self.points.flatten(1)).view_as(x_t)
        return Denoised(x0=x0, eps=to_eps("x0", x0, x_t, at))
