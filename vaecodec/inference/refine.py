"""Refinement: gradient descent on the latents of one picture, through the decoder and its tables.

After SGA (Yang, Bamler, Mandt 2020, 2006.04240), which relaxes each residual to a choice between
the integers below and above it, drawn at random. Here nothing is drawn: means and picture see the
expected residual, the rate is the expected rate, and what the spread of the choice adds to the
distortion is a term of its own, known in advance because one quantisation step costs the same
everywhere. Without noise a few dozen steps do what takes thousands with it.
"""

import math
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vaecodec.entropy.scales import LEVEL_UNIT, STEP
from vaecodec.inference.interfaces import SliceToRefine
from vaecodec.network.config import STRIDE_Y
from vaecodec.network.distortion import distortion
from vaecodec.network.layers import straight_through_round
from vaecodec.network.planes import to_array, to_planes
from vaecodec.network.precision import autocast
from vaecodec.network.rate_distortion import log_scale_of_index, logistic_bits, quality_lambda
from vaecodec.network.vae import VAE, network_from_weights, on_device
from vaecodec.network.weight_files import metric_of_card
from vaecodec.network.weights import Weights

SHARPNESS = (5.0, 12.0)  # of the choice: chance of the upper integer sigmoid(k * logit(fraction))
# Bits that the variance of a residual (in steps squared) is taken to cost. Rate-distortion theory
# at high rate says 6 / ln 2 = 8.7, and measuring g_s agrees; less keeps choices open for longer.
SPREAD_COST = 5.5
RATE = 0.22  # learning rate of y at the start, in quantisation steps, times sqrt(iterations)
Z_RATE = 0.4  # learning rate of z against that of y
FINAL_RATE = 0.05  # of the rates at the start, reached at the end
BETAS = (0.8, 0.95)
EPSILON = 0.1  # bits per step: gradients well below this move nothing
EDGE = 1e-4  # fractions are kept this far from 0 and 1, where logit is infinite


class Refiner:
    """Refines latents with the float twin of a model on `device` (a name that torch knows)."""

    def __init__(self, weights: Weights, device: str):
        self._device = torch.device(device)
        network = network_from_weights(weights).eval().requires_grad_(False)
        self._network = on_device(network, self._device)
        self._metric = metric_of_card(weights.card)

    def __call__(
        self,
        given: SliceToRefine,
        iterations: int,
        seconds: float = math.inf,
        report: Callable[[int], object] = lambda done: None,
        alone: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Latents `[h, w, m]` of the slice and its hyper-latents, both before rounding.

        At most `iterations` steps; where `seconds` are fewer than they take, the steps are coarser,
        and the result depends on the machine's speed. `report` is called after each step; `alone`:
        whether all cores may be used, or the one of the calling thread. Where refinement does not
        help, what came in is returned.
        """
        if not alone:
            torch.set_num_threads(1)
        task = _Task(self._network, self._device, self._metric, given)
        start = task.v.detach().clone(), task.z.detach().clone()
        task.descend(iterations, seconds, report)
        end = task.v.detach(), task.z.detach()
        v, z = end if task.cost(*end) < task.cost(*start) else start
        return to_array(v / task.gain), to_array(z)


class _Task:
    """The variables, constants and cost of one slice. `cost` and gradients are in bits."""

    def __init__(self, network: VAE, device: torch.device, metric: str, given: SliceToRefine):
        self.network, self.device = network, device
        self.metric = metric if given.offsets is None else "psnr"  # only errors can be weighed
        self.t = torch.tensor([given.level / LEVEL_UNIT], device=device)
        self.x = to_planes(given.x, device)
        self.gain = network.gain(self.t)
        self.offsets: Tensor | None = None
        if given.offsets is not None:
            # A finer step at the same price of a bit: the squared error weighs more by its square.
            factors = STEP ** to_planes(given.offsets, device)
            pixels = F.interpolate(factors.square(), scale_factor=STRIDE_Y)
            self.finer = pixels[:, :, : self.x.shape[2], : self.x.shape[3]]
            self.offsets = to_planes(given.offsets[given.rows, given.columns], device)
            self.gain = self.gain * factors[:, :, given.rows, given.columns]
        halo = to_planes(given.y, device)
        y = halo[:, :, given.rows, given.columns]
        self.v = (y * self.gain).requires_grad_()
        self.z = to_planes(given.z, device).requires_grad_()
        height, width = given.y.shape[:2]
        self.margins = (
            given.columns.start,
            width - given.columns.stop,
            given.rows.start,
            height - given.rows.stop,
        )
        self.halo = halo.clone()
        self.halo[:, :, given.rows, given.columns] = 0
        # Bits that a distortion of 1, in 255^2 * MSE, is worth.
        self.weight = quality_lambda(self.t).item() * given.x.shape[0] * given.x.shape[1]

    def descend(self, iterations: int, seconds: float, report: Callable[[int], object]) -> None:
        """Move v and z downhill, ever more like their rounded selves."""
        rate = RATE / math.sqrt(iterations)
        variables = [(self.v, rate), (self.z, Z_RATE * rate)]
        groups = [{"params": [variable], "lr": rate} for variable, rate in variables]
        optimiser = torch.optim.Adam(groups, betas=BETAS, eps=EPSILON)
        started, done = time.monotonic(), 0
        while True:
            elapsed = time.monotonic() - started
            if done >= iterations or elapsed >= seconds:
                return
            part = max(done / iterations, elapsed / seconds)
            slowing = FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * part))
            for group, (_, rate) in zip(optimiser.param_groups, variables, strict=True):
                group["lr"] = rate * slowing
            optimiser.zero_grad()
            cost = self.relaxed_cost(SHARPNESS[0] * (SHARPNESS[1] / SHARPNESS[0]) ** part)
            torch.autograd.backward(cost)
            optimiser.step()
            done += 1
            report(done)

    def relaxed_cost(self, sharpness: float) -> Tensor:
        """Expected cost where each residual may be either neighbour of its real value."""

        def expected(d: Tensor, index: Tensor) -> Tensor:
            below = d.detach().floor()
            fraction = (d - below).clamp(EDGE, 1 - EDGE)
            return below + torch.sigmoid(sharpness * torch.logit(fraction))

        with autocast(self.device):
            z_hat = straight_through_round(self.z)
            v_hat, d, r, index = self.network.walk_steps(
                self.v, z_hat, self.t, expected, True, self.offsets
            )
            distance = self._distortion(v_hat)
        below, log_scale = d.detach().floor(), log_scale_of_index(index)
        chance = r - below
        bits = torch.lerp(
            logistic_bits(below, log_scale), logistic_bits(below + 1, log_scale), chance
        )
        spread = SPREAD_COST * (chance * (1 - chance)).sum()
        result: Tensor = bits.sum() + self._bits_of_z(z_hat) + self.weight * distance + spread
        return result

    @torch.no_grad()
    def cost(self, v: Tensor, z: Tensor) -> float:
        """Cost with everything rounded."""
        z_hat = z.round()
        with autocast(self.device):
            v_hat, _, r, index = self.network.walk_steps(
                v, z_hat, self.t, lambda d, index: d.round(), offsets=self.offsets
            )
            distance = self._distortion(v_hat)
        bits = logistic_bits(r, log_scale_of_index(index)).sum() + self._bits_of_z(z_hat)
        result: float = (bits + self.weight * distance).item()
        return result

    def _distortion(self, v_hat: Tensor) -> Tensor:
        y_hat = self.halo + F.pad(v_hat / self.gain, self.margins)
        x_hat = self.network.synthesise(y_hat, self.t)
        channels, height, width = self.x.shape[1:]
        if channels == 1:
            x_hat = x_hat.mean(1, keepdim=True)
        x_hat = x_hat[:, :, :height, :width]
        if self.offsets is not None:
            return ((x_hat - self.x).square() * self.finer).mean() * 255**2
        colours, original = (p.expand(-1, 3, -1, -1) for p in (x_hat, self.x))
        return distortion(colours, original, self.metric).sum()

    def _bits_of_z(self, z_hat: Tensor) -> Tensor:
        return logistic_bits(z_hat, self.network.z_log_scale(self.t)).sum()
