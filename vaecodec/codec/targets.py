"""Encoding to a target: a size in bytes, or a quality of the decoded picture."""

import math

from vaecodec.codec.decoder import decode_picture
from vaecodec.codec.encoder import EncodeOptions, PictureEncoder
from vaecodec.codec.quality import quality_of_level
from vaecodec.codec.rate_control import Target, Trial, require, search
from vaecodec.format.container import LEVEL_MAX
from vaecodec.inference.model import Model
from vaecodec.metrics.distortion import psnr_db
from vaecodec.metrics.ms_ssim import ms_ssim
from vaecodec.metrics.ssimulacra2 import ssimulacra2
from vaecodec.picture.picture import Picture

UNITS = {"size": "bytes", "psnr": "dB", "ms-ssim": "MS-SSIM", "ssimulacra2": "SSIMULACRA 2"}
SHORT = 0.1  # of the iterations: enough to see what refinement does to size and quality
NEAR_LEVELS = 40  # 8 % of a quantisation step: latents refined for one level suit the other
_MEASURES = {"psnr": psnr_db, "ms-ssim": ms_ssim, "ssimulacra2": ssimulacra2}
_NEAR = {"psnr": 0.05, "ms-ssim": 0.0005, "ssimulacra2": 0.5}
_BEST = {"ms-ssim": 1.0, "ssimulacra2": 100.0}  # of a picture without loss


def target_of(kind: str, target: float) -> Target:
    """The target for a `kind` of UNITS."""
    if kind == "size":
        return Target.size(target)
    return Target.quality(target, _NEAR[kind], _BEST.get(kind, math.inf))


def encode_to_target(
    picture: Picture, model: Model, options: EncodeOptions, kind: str, target: float
) -> tuple[Trial, int]:
    """The encoding nearest to a target, and how many times the picture was encoded for it.

    `kind`: "size" (bytes of the whole file), "psnr" (dB), "ms-ssim" or "ssimulacra2" of the decoded
    pixels.
    `options.level` is where the search starts. Where the effort asks for refinement, the level is
    found without, corrected after a short one and then after a whole one; latents stay refined
    while the level moves a little.
    """
    encoder = PictureEncoder(picture, model, options)
    wanted = target_of(kind, target)

    def attempt(level: int) -> Trial:
        data = encoder(level)
        if kind == "size":
            return Trial(level, len(data), data)
        decoded = decode_picture(data, model).pixels
        return Trial(level, _MEASURES[kind](picture.pixels, decoded), data)

    trial, count = search(attempt, wanted, LEVEL_MAX, options.level)
    shares = (SHORT, 1.0, 1.0) if encoder.refines else ()
    for share in shares:
        level = trial.level
        encoder.refine(level, share)
        trial, more = search(attempt, wanted, LEVEL_MAX, level)
        count += more
        if share == 1 and abs(trial.level - level) <= NEAR_LEVELS:
            break
    return trial, count


def encode_to_targets(
    picture: Picture,
    model: Model,
    options: EncodeOptions,
    targets: dict[str, float],
    best_effort: bool,
) -> tuple[bytes, str]:
    """The file nearest to the one target by kind ("bpp" or one of UNITS), and what is said of it.

    Raises VaecodecError where no level meets it, unless `best_effort`.
    """
    ((kind, value),) = targets.items()
    if kind == "bpp":
        height, width = picture.pixels.shape[:2]
        kind, value = "size", value * height * width / 8
    trial, _ = encode_to_target(picture, model, options, kind, value)
    if not best_effort:
        require(target_of(kind, value), trial, UNITS[kind])
    reached = "" if kind == "size" else f", {trial.value:.4g} {UNITS[kind]}"
    return trial.data, f", quality {quality_of_level(trial.level):.1f}{reached}"
