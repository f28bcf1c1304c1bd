"""One picture by vaecodec and by another codec at the same file size, to be looked at."""

import math
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from vaecodec.codec.decoder import decode_picture
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.codec.quality import quality_of_level
from vaecodec.codec.rate_control import TOLERANCE, Target, Trial, require, search
from vaecodec.codec.targets import encode_to_target
from vaecodec.codec.tiling import Region
from vaecodec.errors import VaecodecError
from vaecodec.evaluation.reference_codecs import ReferenceCodec, ToolCodec
from vaecodec.inference.model import Model
from vaecodec.metrics.distortion import psnr_db
from vaecodec.metrics.ms_ssim import SIDE as MS_SSIM_SIDE
from vaecodec.metrics.ms_ssim import ms_ssim
from vaecodec.picture.picture import Picture
from vaecodec.version import __version__

MAX_SHOWN_PIXELS = 2 * 2**20  # of a page, which holds three lossless pictures
_NEAR = 0.002  # of the size: below it by as much is near enough
_STEPS = 4  # qualities that are tried of another codec, for each whole one of 1 to 100


@dataclass(frozen=True)
class Shown:
    """A codec's picture: uint8 `[H, W, 3]`, and what is told of it.

    `name`: short; `title`: with its settings; `ms_ssim`: None for a picture too small for it.
    """

    name: str
    title: str
    quality: float
    size_bytes: int
    pixels: np.ndarray
    psnr_db: float
    ms_ssim: float | None

    @property
    def bpp(self) -> float:
        height, width = self.pixels.shape[:2]
        result: float = 8 * self.size_bytes / (height * width)
        return result


def central_region(width: int, height: int, most: int = MAX_SHOWN_PIXELS) -> Region:
    """The middle of a picture, in its proportions where they allow, of at most `most` pixels."""
    h = min(height, max(1, math.isqrt(most * height // width)))
    w = max(1, min(most // h, h * width // height))
    h = min(h, most // w)
    return Region((width - w) // 2, (height - h) // 2, w, h)


def show_own(
    pixels: np.ndarray, model: Model, level: int, target_bytes: float | None = None
) -> Shown:
    """vaecodec's picture of uint8 `[H, W, 3]` at a level, or at a size from there.

    Raises VaecodecError for a size that cannot be met.
    """
    picture, options = Picture(pixels), EncodeOptions(level)
    if target_bytes is None:
        data = encode_picture(picture, model, options)
    else:
        trial, _ = encode_to_target(picture, model, options, "size", target_bytes)
        require(Target.size(target_bytes), trial, "bytes")
        data, level = trial.data, trial.level
    title = f"vaecodec {__version__}, model {model.model_id.hex()}"
    decoded = decode_picture(data, model).pixels
    return _shown("vaecodec", title, quality_of_level(level), data, decoded, pixels)


def show_reference(pixels: np.ndarray, codec: ReferenceCodec | ToolCodec, size_bytes: int) -> Shown:
    """Another codec's picture of uint8 `[H, W, 3]`, its file as near to `size_bytes` as its
    qualities allow.

    Raises VaecodecError where the codec fails.
    """
    image = Image.fromarray(pixels)
    files: dict[str, bytes] = {}  # many codecs have whole qualities only
    trials = []

    def encode(quality: float) -> bytes:
        setting = repr(codec.options(quality) if isinstance(codec, ReferenceCodec) else quality)
        if setting not in files:
            files[setting] = codec.encode(image, quality)
        return files[setting]

    def attempt(level: int) -> Trial:
        data = encode(1 + level / _STEPS)
        trials.append(Trial(level, len(data), data))
        return trials[-1]

    target = replace(Target.size(size_bytes), near=_NEAR * size_bytes)
    search(attempt, target, 99 * _STEPS, 60 * _STEPS)
    nearest = min(trials, key=lambda trial: (abs(trial.value - size_bytes), trial.level))
    decoded = np.asarray(codec.decode(nearest.data))
    name = codec.title.partition(" (")[0]
    quality = 1 + nearest.level / _STEPS
    if encode(int(quality)) == nearest.data:
        quality = int(quality)
    return _shown(name, f"{codec.title}, {codec.version()}", quality, nearest.data, decoded, pixels)


def show_both(
    pixels: np.ndarray,
    model: Model,
    codec: ReferenceCodec | ToolCodec,
    level: int,
    target_bytes: float | None = None,
) -> tuple[Shown, Shown]:
    """vaecodec's and another codec's picture at one size.

    The other is brought to the size of vaecodec's file at `level` (or `target_bytes`). Its
    qualities may be far apart, so vaecodec's, which is continuous, is then brought to what it
    reached.
    """
    own = show_own(pixels, model, level, target_bytes)
    other = show_reference(pixels, codec, own.size_bytes)
    if abs(other.size_bytes / own.size_bytes - 1) > TOLERANCE:
        with suppress(VaecodecError):  # vaecodec's scale ends here
            own = show_own(pixels, model, level, other.size_bytes)
    return own, other


def _shown(
    name: str, title: str, quality: float, data: bytes, decoded: np.ndarray, pixels: np.ndarray
) -> Shown:
    similarity = ms_ssim(pixels, decoded) if min(pixels.shape[:2]) >= MS_SSIM_SIDE else None
    return Shown(name, title, quality, len(data), decoded, psnr_db(pixels, decoded), similarity)
