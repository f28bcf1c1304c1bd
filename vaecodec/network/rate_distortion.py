"""Rates in training and refinement: logistic distributions stand in for the tables of a release."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vaecodec.network.config import SCALE_RANGE
from vaecodec.entropy.integer_scale_network import SCALE_COUNT
from vaecodec.entropy.rdoq import STEP_COST


def scale_of_index(index: Tensor) -> Tensor:
    """Logarithm of the logistic scale that a (real) scale index stands for."""
    low, high = map(math.log, SCALE_RANGE)
    return low + (high - low) / (SCALE_COUNT - 1) * index


def logistic_bits(x: Tensor, log_scale: Tensor) -> Tensor:
    """Bits of the unit interval around `x` under a zero-mean logistic distribution.

    log(sigmoid(a) - sigmoid(b)) = log sigmoid(a) + log sigmoid(-b) + log(1 - exp(b - a)) stays
    exact in both tails.
    """
    inverse = torch.exp(-log_scale)
    inside = F.softplus(-(x + 0.5) * inverse) + F.softplus((x - 0.5) * inverse)
    return (inside - torch.log(-torch.expm1(-inverse))) * 1.4426950408889634


def round_by_cost(d: Tensor, index: Tensor) -> Tensor:
    """Residuals `d` as `rounding.round_by_cost` rounds them; the gradient passes as if nothing had
    happened. `index`: their scale indices."""
    with torch.no_grad():
        size, log_scale = d.abs(), scale_of_index(index)
        k = size.round()
        saved = logistic_bits(k, log_scale) - logistic_bits(k - 1, log_scale)
        margin = saved.clamp(min=0) / (2 * STEP_COST) * (k > 0)
        r = d.sign() * (k - (size < k - 0.5 + margin).float())
    return d + (r - d).detach()
