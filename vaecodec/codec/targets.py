"""Encoding to a wish: a size in bytes, or a quality of the decoded picture."""

from vaecodec.format.container import LEVEL_MAX
from vaecodec.metrics.distortion import ms_ssim, psnr_db
from vaecodec.inference.model import Model
from vaecodec.picture.picture import Picture
from vaecodec.codec.decoder import EncodeOptions, PictureEncoder, decode_picture
from vaecodec.codec.rate_control import Trial, Wish, search

UNITS = {"size": "bytes", "psnr": "dB", "ms-ssim": "MS-SSIM"}
SHORT = 0.1  # of the iterations: enough to see what refinement does to size and quality
NEAR_LEVELS = 40  # 8 % of a quantisation step: latents refined for one level suit the other
_NEAR = {"psnr": 0.05, "ms-ssim": 0.0005}


def wish_of(kind: str, target: float) -> Wish:
    """The wish for a `kind` of UNITS."""
    return Wish.size(target) if kind == "size" else Wish.quality(target, _NEAR[kind])


def encode_to_target(
    picture: Picture, model: Model, options: EncodeOptions, kind: str, target: float
) -> tuple[Trial, int]:
    """The encoding nearest to a target, and how many times the picture was encoded for it.

    `kind`: "size" (bytes of the whole file), "psnr" (dB) or "ms-ssim" of the decoded pixels.
    `options.level` is where the search starts. Where the effort asks for refinement, the level is
    found without, corrected after a short one and then after a whole one; latents stay refined
    while the level moves a little.
    """
    encoder = PictureEncoder(picture, model, options)
    wish = wish_of(kind, target)

    def attempt(level: int) -> Trial:
        data = encoder(level)
        if kind == "size":
            return Trial(level, len(data), data)
        decoded = decode_picture(data, model).pixels
        value = (
            psnr_db(picture.pixels, decoded) if kind == "psnr" else ms_ssim(picture.pixels, decoded)
        )
        return Trial(level, value, data)

    trial, count = search(attempt, wish, LEVEL_MAX, options.level)
    shares = (SHORT, 1.0, 1.0) if encoder.refines else ()
    for share in shares:
        level = trial.level
        encoder.refine(level, share)
        trial, more = search(attempt, wish, LEVEL_MAX, level)
        count += more
        if share == 1 and abs(trial.level - level) <= NEAR_LEVELS:
            break
    return trial, count
