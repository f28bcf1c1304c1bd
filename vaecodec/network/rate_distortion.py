"""Rates in training and refinement: logistic distributions stand in for the tables of a release."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vaecodec.entropy.rdoq import STEP_COST
from vaecodec.entropy.scales import LOG_LOW, LOG_STEP

# Weight of 255^2 * MSE against bits per pixel, log-linear in t: at t = 0 and at t = 5.
LAMBDA_RANGE = (0.0018, 0.18)
LAMBDA_LEVELS = 5


def log_scale_of_index(index: Tensor) -> Tensor:
    """Logarithm of the logistic scale that a (real) scale index stands for."""
    return LOG_LOW + LOG_STEP * index


def logistic_bits(x: Tensor, log_scale: Tensor) -> Tensor:
    """Bits of the unit interval around `x` under a zero-mean logistic distribution.

    log(sigmoid(a) - sigmoid(b)) = log sigmoid(a) + log sigmoid(-b) + log(1 - exp(b - a)) stays
    exact in both tails.
    """
    inverse = torch.exp(-log_scale)
    inside = F.softplus(-(x + 0.5) * inverse) + F.softplus((x - 0.5) * inverse)
    return (inside - torch.log(-torch.expm1(-inverse))) * 1.4426950408889634


def rdoq_straight_through(d: Tensor, index: Tensor) -> Tensor:
    """Residuals `d` as `entropy.rdoq` rounds them, a straight-through estimator. `index`: their
    scale indices."""
    with torch.no_grad():
        size, log_scale = d.abs(), log_scale_of_index(index)
        k = size.round()
        saved = logistic_bits(k, log_scale) - logistic_bits(k - 1, log_scale)
        margin = saved.clamp(min=0) / (2 * STEP_COST) * (k > 0)
        r = d.sign() * (k - (size < k - 0.5 + margin).float())
    return d + (r - d).detach()


def quality_lambda(t: Tensor) -> Tensor:
    """The Lagrangian weight at level `t`."""
    low, high = LAMBDA_RANGE
    return low * (high / low) ** (t / LAMBDA_LEVELS)
