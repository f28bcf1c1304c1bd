"""The convolutional VAE: g_a, g_s, h_a, h_s, the context network and the scale network.

    x --klt--> g_a --> y --gain--> [round(y - mu)] --> y_hat --1/gain--> g_s --klt^-1--> x_hat
                       |                  ^  ^
                      h_a --> z --> h_s --+  |
                                    scale network (integers: z and earlier |r| only)

Letters as in Balle et al. 2018 (1802.01436) and Minnen et al. 2018 (1809.02736). The latents are
coded in four steps (see entropy/coding_order).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaecodec.entropy.coding_order import STEPS, group_mask
from vaecodec.entropy.integer_scale_network import float_parameters
from vaecodec.entropy.scales import SCALE_COUNT, STEP
from vaecodec.network.config import (
    BLOCK,
    BLOCK_REACH,
    FRONT,
    LEAK,
    LOG_STEP_SCALE_MAX,
    STRIDE_Y,
    NetworkConfig,
)
from vaecodec.network.layers import (
    EightBitConv,
    LevelTable,
    in_float32,
    residual_blocks,
    squash,
    straight_through_round,
)
from vaecodec.network.rate_distortion import (
    log_scale_of_index,
    logistic_bits,
    rdoq_straight_through,
)
from vaecodec.network.scale_network import (
    ScaleNetwork,
    magnitude_code,
)
from vaecodec.network.weights import Weights, check_parameters, misfit

GAIN_RANGE = (2.5, 30.0)  # gains at the start, in units where pixels span 1


def step_masks(height: int, width: int, m: int, device: torch.device) -> Tensor:
    """Which latents each step codes: `[STEPS, 1, m, height, width]` of 0 and 1."""
    groups = np.stack([group_mask(height, width, step) for step in range(STEPS)])
    planes = torch.from_numpy(groups).to(device).permute(0, 3, 1, 2)
    return planes.repeat_interleave(m // STEPS, dim=1)[:, None].float()


class VAE(nn.Module):
    """The network. Level `t` is `[B]` in 0..anchors-1; pictures are `[B, 3, H, W]` in 0..1."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = c = config
        self.klt: Tensor
        self.klt_mean: Tensor
        self.klt_scale: Tensor
        self.y_scale: Tensor
        self.register_buffer("klt", torch.eye(FRONT))  # columns are eigenvectors
        self.register_buffer("klt_mean", torch.full((FRONT,), 0.5))
        self.register_buffer("klt_scale", torch.ones(FRONT))
        self.register_buffer("y_scale", torch.ones(c.m))  # pixel-domain deviation of each latent

        self.a1 = residual_blocks("a1", FRONT, c.h1, c.n1, c)
        self.down = nn.Conv2d(FRONT, c.m, 4, stride=2, padding=1)
        self.a2 = residual_blocks("a2", c.m, c.h2, c.n2, c)
        self.a_out = nn.Conv2d(c.m, c.m, 1)
        self.s_in = nn.Conv2d(c.m, c.m, 1)
        self.s_bias = LevelTable(c.anchors, c.m)
        self.s2 = residual_blocks("s2", c.m, c.h2, c.n2, c)
        self.up = nn.ConvTranspose2d(c.m, FRONT, 4, stride=2, padding=1)
        self.s1 = residual_blocks("s1", FRONT, c.h1, c.n1, c)
        for conv in (self.a_out, self.s_in):
            nn.init.dirac_(conv.weight)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)

        self.log_gain = LevelTable(c.anchors, c.m)
        self.log_inverse_gain = LevelTable(c.anchors, c.m)  # learned correction on top of 1 / gain
        self.log_z_gain = LevelTable(c.anchors, c.cz)
        self.z_log_scale = LevelTable(c.anchors, c.cz)  # of z's logistic prior, used in training
        low, high = map(math.log, GAIN_RANGE)
        self.log_gain.values.data += torch.linspace(low, high, c.anchors)[:, None]

        self.ha_in = EightBitConv(c.m, c.hyper, 3, stride=2, padding=1)
        self.ha_bias = LevelTable(c.anchors, c.hyper)
        self.ha_out = EightBitConv(c.hyper, c.cz, 5, stride=2, padding=2)
        self.hs_in = EightBitConv(c.cz, c.hyper, 3, padding=1)
        self.hs_bias = LevelTable(c.anchors, c.hyper)
        self.hs_mid = EightBitConv(c.hyper, 4 * c.hyper, 1)
        self.hs_out = EightBitConv(c.hyper, 4 * c.context, 1)
        self.ctx_in = EightBitConv(c.m + STEPS, c.context, 3, padding=1, bias=False)
        self.ctx_bias = LevelTable(c.anchors, c.context)
        self.ctx_mid = EightBitConv(c.context, c.context, 1)
        self.ctx_out = EightBitConv(c.context, c.m, 1)
        nn.init.normal_(self.ctx_out.weight, std=1e-3)
        assert self.ctx_out.bias is not None
        nn.init.zeros_(self.ctx_out.bias)
        if c.elementwise:
            with torch.random.fork_rng(devices=[]):  # all else starts as without it
                self.q_out = nn.Conv2d(c.context, c.m, 1)
            nn.init.zeros_(self.q_out.weight)
            assert self.q_out.bias is not None
            nn.init.zeros_(self.q_out.bias)
        self.scale_network = ScaleNetwork(c)

    # --- transforms -------------------------------------------------------------------------

    def analyse(self, x: Tensor, t: Tensor, cut: Sequence[int] = (0, 0, 0, 0)) -> Tensor:
        """g_a: picture `[B, 3, H, W]` (sides multiples of 16) to y `[B, m, H/16, W/16]`, unit
        scale.

        `cut`: 1 at the sides (top, left, bottom, right) whose halo is left out as layers go.
        """
        return self.analyse_coarse(self.analyse_fine(x, t, cut), t, cut)

    def analyse_fine(self, x: Tensor, t: Tensor, cut: Sequence[int] = (0, 0, 0, 0)) -> Tensor:
        """The first part of `analyse`, at 1/8 of the resolution: features `[B, m, H/16, W/16]`."""
        with torch.autocast(x.device.type, enabled=False):
            blocks = F.pixel_unshuffle(x.float(), BLOCK) - self.klt_mean[:, None, None]
            h = F.conv2d(blocks, (self.klt / self.klt_scale).t()[:, :, None, None])
        h = h.contiguous(memory_format=torch.channels_last)
        for block in self.a1:
            h = _crop(block(h, t), BLOCK_REACH, cut)
        return _crop(in_float32(self.down, h), 1, cut)

    def analyse_coarse(self, h: Tensor, t: Tensor, cut: Sequence[int] = (0, 0, 0, 0)) -> Tensor:
        """The second part, of these features, at 1/16."""
        for block in self.a2:
            h = _crop(block(h, t), BLOCK_REACH, cut)
        result: Tensor = in_float32(self.a_out, h)
        return result

    def synthesise(
        self, y_hat: Tensor, t: Tensor, scale: int = 1, cut: Sequence[int] = (0, 0, 0, 0)
    ) -> Tensor:
        """g_s: y_hat `[B, m, h, w]`, unit scale, to a picture `[B, 3, 16h/scale, 16w/scale]`, not
        clipped; `cut` as in `analyse`.

        `scale` 2, 4 or 8 gives box averages of the full picture: the last linear layer averages.
        """
        h = in_float32(self.s_in, y_hat * self.log_inverse_gain(t).exp()) + self.s_bias(t)
        for block in self.s2:
            h = _crop(block(h, t), BLOCK_REACH, cut)
        h = _crop(in_float32(self.up, h), 2, cut)
        for block in self.s1:
            h = _crop(block(h, t), BLOCK_REACH, cut)
        side = BLOCK // scale
        with torch.autocast(h.device.type, enabled=False):
            inverse = self.klt * self.klt_scale
            if scale > 1:
                boxes = inverse.view(3, side, scale, side, scale, -1)
                inverse = boxes.mean((2, 4)).reshape(3 * side * side, -1)
            mean = self.klt_mean.view(3, side, scale, side, scale).mean((2, 4)).reshape(-1)
            blocks = F.conv2d(h.float(), inverse[:, :, None, None])
            return F.pixel_shuffle(blocks + mean[:, None, None], side)

    def synthesise_reduced(
        self, y_hat: Tensor, t: Tensor, reduced: Mapping[str, Tensor], cut: Sequence[int]
    ) -> Tensor:
        """g_s at 1/8, nearly: a linear map `reduced` of what g_s begins with."""
        h = y_hat * self.log_inverse_gain(t).exp()
        h = F.conv2d(h, reduced["weight"], reduced["bias"], padding=1)
        return F.pixel_shuffle(_crop(h, self.config.halo, cut), STRIDE_Y // BLOCK)

    def gain(self, t: Tensor) -> Tensor:
        """Quantisation steps per unit of y, `[B, m, 1, 1]`."""
        result: Tensor = self.log_gain(t).exp() * self.y_scale[:, None, None]
        return result

    # --- entropy model ----------------------------------------------------------------------

    def hyper_analyse(self, y: Tensor, t: Tensor) -> Tensor:
        """h_a: y to z before rounding, `[B, cz, h/4, w/4]` (h and w multiples of 4)."""
        h = F.leaky_relu(self.ha_in(squash(y)) + self.ha_bias(t), LEAK)
        result: Tensor = self.ha_out(h).float() * self.log_z_gain(t).exp()
        return result

    def hyper_synthesise(self, z_hat: Tensor, t: Tensor) -> Tensor:
        """h_s: integer z_hat to features of the mean, `[B, context, 4hz, 4wz]`, before
        activation."""
        h = F.leaky_relu(self.hs_in(z_hat / self.log_z_gain(t).exp()) + self.hs_bias(t), LEAK)
        h = F.leaky_relu(F.pixel_shuffle(self.hs_mid(h), 2), LEAK)
        result: Tensor = F.pixel_shuffle(self.hs_out(h), 2) + self.ctx_bias(t)
        return result

    def predict_mean(self, features: Tensor, context: Tensor | None) -> Tensor:
        """Mean of y `[B, m, h, w]` from h_s features and `context` `[B, m + 4, h, w]` (None:
        nothing known)."""
        h = features if context is None else features + self.ctx_in(context)
        h = F.leaky_relu(self.ctx_mid(F.leaky_relu(h, LEAK)), LEAK)
        result: Tensor = self.ctx_out(h).float()
        return result

    def step_scale(self, features: Tensor) -> Tensor:
        """q, `[B, m, h, w]`: how much finer than its channel each latent is quantised, from h_s
        features; within exp(-LOG_STEP_SCALE_MAX) and its inverse.

        Finer where the eye looks, coarser where it is masked (PICO, arXiv 2605.05148).
        """
        log_q: Tensor = self.q_out(F.leaky_relu(features, LEAK)).float()
        return log_q.clamp(-LOG_STEP_SCALE_MAX, LOG_STEP_SCALE_MAX).exp()

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Of g_a, h_a and the gains, which only an encoder needs or which both sides must share."""
        layers = (self.a1, self.down, self.a2, self.a_out, self.ha_in, self.ha_bias, self.ha_out)
        for layer in (*layers, self.log_gain, self.log_z_gain):
            yield from layer.parameters()

    def forward(
        self, x: Tensor, t: Tensor, noise: bool = True, settled: bool = False
    ) -> dict[str, Tensor]:
        """Training pass: `x_hat`, and `bits_y`, `bits_z` per sample `[B]`.

        With `noise` the rate is that of additive uniform noise; without it, of real rounding. With
        `settled` the encoder gets no gradient and y is rounded as by the default effort: the scales
        learn from the rate of these integers, the means, for which that rate is flat, from noise.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not settled):
            y = self.analyse(x, t)
            z = self.hyper_analyse(y, t)
            gain = self.gain(t)
        z_hat = straight_through_round(z)
        quantise = rdoq_straight_through if settled else _round
        v_hat, d, r, index = self.walk_steps(y * gain, z_hat, t, quantise)
        z_rated = z + torch.rand_like(z) - 0.5 if noise else z_hat
        bits_z = logistic_bits(z_rated, self.z_log_scale(t))
        noisy = d + torch.rand_like(d) - 0.5 if noise else r
        bits_y = logistic_bits(noisy, log_scale_of_index(index.detach() if settled else index))
        if settled:  # the means' gradient stays; value and scales' gradient are the integers'
            bits_y = bits_y - bits_y.detach() + logistic_bits(r.detach(), log_scale_of_index(index))
        return {
            "x_hat": self.synthesise(v_hat / gain, t),
            "bits_y": bits_y.sum((1, 2, 3)),
            "bits_z": bits_z.sum((1, 2, 3)),
        }

    def walk_steps(
        self,
        v: Tensor,
        z_hat: Tensor,
        t: Tensor,
        quantise: Callable[[Tensor, Tensor], Tensor],
        through_scales: bool = False,
        offsets: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The four steps, differentiable: latents `v` `[B, m, h, w]` in steps of their channels and
        z.

        Returns `v_hat`, its distance d of `v` from the means in steps of each latent, the residuals
        r = `quantise(d, index)`, and the scale indices, all shaped like `v`. With `through_scales`
        gradients also pass from the scales to the residuals that they were chosen by. `offsets`: of
        the gain, `[B, 1, h, w]`, in scale indices (codec/gain_map).
        """
        batch, m, height, width = v.shape
        factor = 1.0 if offsets is None else STEP**offsets
        gain = self.gain(t) * factor
        features = self.hyper_synthesise(z_hat, t)[..., :height, :width]
        q = self.step_scale(features) if self.config.elementwise else 1.0
        prepared = self.scale_network.prepare(z_hat, t)[..., :height, :width]
        masks = step_masks(height, width, m, v.device)
        v_hat, residuals, difference, index = (torch.zeros_like(v) for _ in range(4))
        known = torch.zeros_like(masks[0])
        for step, mask in enumerate(masks):
            mean_context = scale_context = None
            if step:
                planes = known[:, :: m // STEPS].expand(batch, -1, -1, -1)
                mean_context = torch.cat([squash(v_hat / gain), planes], 1)
                seen = (residuals if through_scales else residuals.detach()) / factor
                scale_context = torch.cat([magnitude_code(seen), planes], 1)
            mean = self.predict_mean(features, mean_context) * gain * mask
            index = index + self.scale_network(prepared, scale_context, t) * mask
            d = (v * mask - mean) * q
            r = quantise(d, index) * mask
            difference = difference + d
            v_hat = v_hat + mean + r / q
            residuals = residuals + r
            known = known + mask
        if offsets is not None:
            index = index + offsets
        return v_hat, difference, residuals, index.clamp(0, SCALE_COUNT - 1)


def _crop(h: Tensor, positions: int, cut: Sequence[int]) -> Tensor:
    """Without the outermost positions at the sides of `cut`."""
    top, left, bottom, right = (positions * side for side in cut)
    return h[:, :, top : h.shape[2] - bottom, left : h.shape[3] - right]


def _round(d: Tensor, index: Tensor) -> Tensor:
    return straight_through_round(d)


def on_device(network: VAE, device: torch.device) -> VAE:
    """The network on a device, in channels-last memory, in which convolutions are several times
    faster on CPUs."""
    moved: VAE = network.to(  # type: ignore[call-overload]  # torch's stubs lack memory_format
        device, memory_format=torch.channels_last
    )
    return moved


def cost_per_pixel(config: NetworkConfig) -> float:
    """Multiplications per pixel of a forward pass through everything, counted on a blank
    picture."""
    from torch.utils.flop_counter import FlopCounterMode  # slow to import, and seldom needed

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        VAE(config)(torch.zeros(1, 3, 128, 128), torch.zeros(1))
    result: float = counter.get_total_flops() / 2 / 128**2
    return result


_SCALE_PREFIX = "scale_network."


def network_from_weights(weights: Weights) -> VAE:
    """The trainable network of a weight file, the inverse of what `export_model` stores. Raises
    ModelError."""
    network = VAE(checked_config(weights))
    state = weights.float_parameters() | {
        f"{_SCALE_PREFIX}{name}": array
        for name, array in float_parameters(weights.scale_parameters).items()
    }
    try:
        network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    except (RuntimeError, ValueError) as error:
        raise misfit(str(error).splitlines()[0]) from None
    return network


def checked_config(weights: Weights) -> NetworkConfig:
    """The sizes of a weight file's network, which its weights fill. Raises ModelError."""
    check_parameters(weights)
    try:
        return NetworkConfig(**weights.config)
    except TypeError as error:
        raise misfit(str(error)) from None
