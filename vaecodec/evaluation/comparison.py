"""One picture by vaecodec and by other codecs at the same file size, to be looked at."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from vaecodec.codec.decoder import decode_picture
from vaecodec.codec.encoder import EncodeOptions, Progress, encode_picture
from vaecodec.codec.quality import scale_of
from vaecodec.codec.rate_control import TOLERANCE, Target, Trial, require, search
from vaecodec.codec.targets import encode_to_target
from vaecodec.codec.tiling import Region
from vaecodec.errors import VaecodecError
from vaecodec.evaluation.reference_codecs import AnyReferenceCodec, ReferenceCodec
from vaecodec.inference.model import Model
from vaecodec.metrics.distortion import METRICS
from vaecodec.metrics.ms_ssim import SIDE as MS_SSIM_SIDE
from vaecodec.picture.picture import Picture
from vaecodec.version import __version__

MAX_SHOWN_PIXELS = 2 * 2**20  # of a page, which holds lossless pictures
FIGURES = ("ssimulacra2", "ms-ssim", "psnr")  # METRICS that are told of each picture
_NEAR = 0.002  # of the size: below it by as much is near enough
_STEPS = 4  # qualities that are tried of another codec, for each whole one of 1 to 100


@dataclass(frozen=True)
class Shown:
    """A codec's picture: uint8 `[H, W, 3]`, and what is told of it.

    `name`: short; `title`: with its settings; `figures`: by name of FIGURES, None where a picture
    is too small for it.
    """

    name: str
    title: str
    quality: float
    size_bytes: int
    pixels: np.ndarray
    figures: dict[str, float | None]

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
    return _shown("vaecodec", title, scale_of(model).quality(level), data, decoded, pixels)


def show_reference(pixels: np.ndarray, codec: AnyReferenceCodec, size_bytes: int) -> Shown:
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


def show_all(
    pixels: np.ndarray,
    model: Model,
    codecs: Sequence[AnyReferenceCodec],
    level: int,
    target_bytes: float | None = None,
    progress: Progress = lambda share: None,
) -> list[Shown]:
    """vaecodec's picture, the first, and those of other codecs at one size.

    The others are brought to the size of vaecodec's file at `level` (or `target_bytes`). The
    qualities of one may be far apart, so where it is the only one, vaecodec's, which is continuous,
    is then brought to what it reached. `progress` is told the share of the pictures that are made.
    """
    own = show_own(pixels, model, level, target_bytes)
    others = []
    for number, codec in enumerate(codecs, 1):
        progress(number / (1 + len(codecs)))
        others.append(show_reference(pixels, codec, own.size_bytes))
    names = [other.name for other in others]
    for number, codec in enumerate(codecs):
        if names.count(names[number]) > 1:
            others[number] = replace(others[number], name=f"{names[number]} ({codec.name})")
    reached = others[0].size_bytes
    if len(others) == 1 and abs(reached / own.size_bytes - 1) > TOLERANCE:
        with suppress(VaecodecError):  # vaecodec's scale ends here
            own = show_own(pixels, model, level, reached)
    return [own, *others]


def _shown(
    name: str, title: str, quality: float, data: bytes, decoded: np.ndarray, pixels: np.ndarray
) -> Shown:
    small = min(pixels.shape[:2]) < MS_SSIM_SIDE
    figures = {
        metric: None if small and metric == "ms-ssim" else METRICS[metric].measure(pixels, decoded)
        for metric in FIGURES
    }
    return Shown(name, title, quality, len(data), decoded, figures)
