"""Gives latent channels that have died a new task: what the decoder gets wrong at the top level.

    python scripts/revive_channels.py MODEL FOLDER -o OUT.safetensors [--crops 240]
    vaecodec train FOLDER --from OUT.safetensors ...

Early in training the fainter components of a block cost more than they bring, and their gains fall
until they are never anything but zero, which no gradient changes later. Here such channels leave
the network, and with them the directions of g_a's and g_s's features that only they used. Into that
room come the linear functions of the first features that explain most of the remaining error
(reduced-rank regression on crops of FOLDER), with gains by rate-distortion theory. The entropy
model knows nothing of them yet, so that the result is worse than MODEL at first; a few minutes of
training turn that.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vaecodec.entropy.scales import LOG_STEP
from vaecodec.network.config import BLOCK
from vaecodec.network.precision import autocast
from vaecodec.network.rate_distortion import log_scale_of_index, quality_lambda
from vaecodec.network.scale_network import INDEX_UNIT
from vaecodec.network.vae import VAE, network_from_weights
from vaecodec.network.weights import load_weights
from vaecodec.training.dataset import CropSampler, scan_folder
from vaecodec.training.export import export_model
from vaecodec.training.klt_start import quads

SILENT = 3e-3  # share of positions with a residual at the top level, below which a channel is dead
RIDGE = 1e-5  # of the mean square of the regressors
STEP_EXCESS = 1.15  # quantisation steps against theory, as the rounding has a dead zone
FAINT = 80  # live channels, the faintest, that the new ones' scales are modelled on
INNER = slice(1, 3)  # taps of the strided convolutions within a block of 16x16 pixels


@dataclass
class Statistics:
    """Means by channel at one level: share of positions with a residual, size of y in steps, of its
    distance from the mean, and of the scale predicted for it."""

    activity: Tensor
    size: Tensor
    distance: Tensor
    scale: Tensor


@torch.no_grad()
def code(network: VAE, x: Tensor, t: float) -> tuple[Statistics, Tensor]:
    """Statistics of coding crops `[B, 3, H, W]` at level `t`, and the decoded crops."""
    levels = torch.full((len(x),), float(t))
    with autocast(x.device):
        y = network.analyse(x, levels)
        z_hat = network.hyper_analyse(y, levels).round()
        v = y * network.gain(levels)
        v_hat, d, r, index = network.walk_steps(v, z_hat, levels, lambda d, index: d.round())
        x_hat = network.synthesise(v_hat / network.gain(levels), levels)
    values = ((r != 0).float(), v.abs(), d.abs(), log_scale_of_index(index).exp())
    return Statistics(*(value.mean((0, 2, 3)) for value in values)), x_hat


def mean_statistics(network: VAE, batches: list[Tensor], t: float) -> Statistics:
    found = [code(network, x, t)[0] for x in batches]
    names = ("activity", "size", "distance", "scale")
    return Statistics(*(torch.stack([getattr(s, n) for s in found]).mean(0) for n in names))


def error_regression(
    network: VAE, batches: list[Tensor], rank: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The `rank` functions of the features before `down` that explain most of the error at the top
    level.

    Returns their coefficients `[rank, 768]` and constants `[rank]`, scaled to deviation 1, and the
    error that one unit of each stands for, `[rank, 768]` in the front end's components, in 0..1.
    """
    seen: list[Tensor] = []
    hook = network.down.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].float()))
    moments, cross, regressors = 0.0, 0.0, []
    for x in batches:
        _, x_hat = code(network, x, network.config.anchors - 1)
        error = quads(
            torch.einsum("bchw,cd->bhwd", F.pixel_unshuffle(x - x_hat, BLOCK), network.klt)
        )
        inputs = F.pad(quads(seen.pop().permute(0, 2, 3, 1)), (0, 1), value=1.0)
        # Crops count by their relative cost, as in training.
        weight = 1 / ((x - x_hat).square().mean((1, 2, 3)) + 1.5e-4)
        rows = (inputs * weight.repeat_interleave(len(inputs) // len(x))[:, None]).double()
        moments, cross = moments + rows.T @ inputs.double(), cross + rows.T @ error.double()
        regressors.append(inputs)
    hook.remove()
    ridge = RIDGE * moments.diag().mean() * torch.eye(len(moments))
    coefficients = torch.linalg.solve(moments + ridge, cross)
    explained = coefficients.T @ moments @ coefficients
    directions = torch.linalg.eigh(explained)[1].flip(1)[:, :rank]
    functions = (coefficients @ directions).float()
    deviation = (torch.cat(regressors) @ functions).std(0)
    functions = (functions / deviation).T
    return functions[:, :-1], functions[:, -1], directions.T.float() * deviation[:, None]


def complement(vectors: Tensor) -> Tensor:
    """Orthonormal rows that span what the rows of `vectors` do not."""
    return torch.linalg.svd(vectors.double(), full_matrices=True)[2][len(vectors) :].float()


def taps(rows: Tensor) -> Tensor:
    """Rows over a block's four positions, `[k, 4 * C]`, as convolution taps `[k, C, 2, 2]`."""
    return rows.reshape(len(rows), 2, 2, -1).permute(0, 3, 1, 2)


@torch.no_grad()
def cut_loose(network: VAE, dead: Tensor, live: Tensor) -> tuple[Tensor, Tensor]:
    """Take dead channels, and the features that served them alone, out of everything that reads
    them.

    Returns the directions that are free now: of g_a's and of g_s's features, as rows.
    """
    for conv in (network.s_in, network.ctx_in, network.scale_network.context, network.ha_in):
        conv.weight[:, dead] = 0
    free_a = complement(network.a_out.weight[live, :, 0, 0])
    free_s = complement(network.s_in.weight[:, live, 0, 0].T)
    for free, blocks in ((free_a, network.a2), (free_s, network.s2)):
        kept = torch.eye(free.shape[1]) - free.T @ free
        for block in blocks:
            block.enter.weight.copy_(torch.einsum("ocij,cd->odij", block.enter.weight, kept))
            block.leave.weight.copy_(torch.einsum("oc,cdij->odij", kept, block.leave.weight))
            block.leave.bias.copy_(kept @ block.leave.bias)
    kept = torch.eye(free_s.shape[1]) - free_s.T @ free_s
    network.s_in.bias.copy_(kept @ network.s_in.bias)
    network.s_bias.values.copy_(network.s_bias.values @ kept)
    for conv, free in ((network.down, free_a), (network.up, free_s)):
        kept = torch.eye(free.shape[1]) - free.T @ free
        conv.weight.copy_(torch.einsum("ab,bcij->acij", kept, conv.weight))
    network.down.bias.copy_(network.down.bias - free_a.T @ (free_a @ network.down.bias))
    return free_a, free_s


@torch.no_grad()
def revive(network: VAE, batches: list[Tensor]) -> int:
    """Replace the dead channels of `network`; returns how many. `batches`: crops `[B, 3, H, W]`."""
    top = mean_statistics(network, batches, network.config.anchors - 1)
    dead, live = (
        torch.nonzero(mask).flatten() for mask in (top.activity < SILENT, top.activity >= SILENT)
    )
    if not len(dead):
        return 0
    free_a, free_s = cut_loose(network, dead, live)
    functions, constants, meanings = error_regression(network, batches, len(dead))
    network.down.weight[:, :, INNER, INNER] += torch.einsum(
        "ka,kcij->acij", free_a, taps(functions)
    )
    network.down.bias += free_a.T @ constants
    network.a_out.weight[dead] = free_a[:, :, None, None]
    network.a_out.bias[dead] = 0
    network.s_in.weight[:, dead] = free_s.T[:, :, None, None]
    whitened = taps(meanings) / network.klt_scale[:, None, None]
    network.up.weight[:, :, INNER, INNER] += torch.einsum("ka,kcij->acij", free_s, whitened)
    # At high rate J is least where a component's distortion is 3 / (2 ln 2 lambda), of 255^2.
    distortion = 3 / (2 * math.log(2) * quality_lambda(torch.arange(float(network.config.anchors))))
    step = STEP_EXCESS * (12 * distortion).sqrt() / 255
    network.y_scale[dead] = meanings.norm(dim=1)
    network.log_gain.values[:, dead] = -step.log()[:, None].expand(-1, len(dead))
    network.log_inverse_gain.values[:, dead] = 0
    network.ctx_out.weight[dead], network.ctx_out.bias[dead] = 0, 0
    faint = live[top.size[live].argsort()[:FAINT]]
    scales = network.scale_network
    scales.out.weight[dead] = scales.out.weight[faint].mean(0, keepdim=True)
    scales.offset.values[:, dead] = scales.offset.values[:, faint].mean(1, keepdim=True)
    for _ in range(2):
        for level in range(network.config.anchors):
            found = mean_statistics(network, batches[:10], float(level))
            # The mean size of a logistic variable is 2 ln 2 times its scale.
            excess = found.distance[dead] / (2 * math.log(2) * found.scale[dead])
            scales.offset.values[level, dead] += (
                excess.clamp(1e-2, 1e2).log() / LOG_STEP / INDEX_UNIT
            )
    return len(dead)


@click.command()
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--crops", default=240, show_default=True)
def main(model: Path, folder: Path, output: Path, crops: int) -> None:
    """Write MODEL with its dead latent channels revived."""
    weights = load_weights(model)
    network = network_from_weights(weights)
    sources = [source for source in scan_folder(folder, 256)[0] if source.split == "train"]
    sampler = CropSampler(folder, sources, seed=0, pool_bytes=1 << 30, step_bytes=1)
    batches = [
        torch.from_numpy(np.ascontiguousarray(batch)).permute(0, 3, 1, 2).float() / 255
        for batch in sampler.start_batches(max(1, crops // 8), 8, 256)
    ]
    count = revive(network, batches)
    card = weights.card | {"revived": f"{count} channels of {weights.model_id.hex()}"}
    export_model(network, sampler.first_pictures(40), card, output)
    sampler.close()
    click.echo(f"{output}: {count} of {network.config.m} channels revived")


if __name__ == "__main__":
    main()
