"""Encoding to a target: a size in bytes, or a quality of the decoded picture."""

import io
import itertools
import math

from vaecodec.codec.decoder import decode_picture
from vaecodec.codec.encoder import EncodeOptions, PictureEncoder, Progress, stage
from vaecodec.codec.quality import scale_of
from vaecodec.codec.rate_control import Target, Trial, require, search
from vaecodec.errors import UsageError
from vaecodec.format.description import describe
from vaecodec.inference.model import Model
from vaecodec.picture.picture import Picture

UNITS = {"size": "bytes", "psnr": "dB", "ms-ssim": "MS-SSIM", "ssimulacra2": "SSIMULACRA 2"}
SHORT = 0.1  # of the iterations: enough to see what refinement does to size and quality
NEAR_LEVELS = 40  # 8 % of a quantisation step: latents refined for one level suit the other
_NEAR = {"psnr": 0.05, "ms-ssim": 0.0005, "ssimulacra2": 0.5}
_BEST = {"ms-ssim": 1.0, "ssimulacra2": 100.0}  # of a picture without loss
_USUAL = 3  # encodings for a target
# Where the stages of an encoding that refines end, of all its time, about: the search without,
# a short refinement and a whole one with their searches, perhaps another.
_STAGES = (0.05, 0.15, 0.9, 1.0)


def one_target(
    size: float | None,
    bpp: float | None,
    psnr: float | None,
    ms_ssim: float | None,
    ssimulacra2: float | None,
) -> tuple[str, float] | None:
    """The kind and the value of the one target that is given, if any.

    `size` in bytes of the whole file, `bpp` in bits per pixel, `psnr` in dB. Raises UsageError for
    several, and for a value that no picture has.
    """
    kinds = {"size": size, "bpp": bpp, "psnr": psnr, "ms-ssim": ms_ssim, "ssimulacra2": ssimulacra2}
    given = [(kind, value) for kind, value in kinds.items() if value is not None]
    if len(given) > 1:
        raise UsageError("give one target only")
    for kind, value in given:
        best = _BEST.get(kind, math.inf)
        if not (math.isfinite(value) and 0 < value <= best):
            highest = f"{best:g}" if best < math.inf else "more, finite"
            raise UsageError(f"target {kind} {value:g} is not above 0 and up to {highest}")
    return given[0] if given else None


def check_choices(
    quality: float | None, target: tuple[str, float] | None, lossless: bool, timeout: float
) -> None:
    """Raise UsageError for a quality beside a target, either beside lossless, and no time."""
    if target is not None and quality is not None:
        raise UsageError("give a quality or a target, not both")
    if lossless and (target is not None or quality is not None):
        raise UsageError("lossless has one quality; leave out quality and targets")
    if not timeout > 0:
        raise UsageError(f"timeout {timeout:g} is not above 0 seconds")


def target_of(kind: str, target: float) -> Target:
    """The target for a `kind` of UNITS."""
    if kind == "size":
        return Target.size(target)
    return Target.quality(target, _NEAR[kind], _BEST.get(kind, math.inf))


def encode_to_target(
    picture: Picture, model: Model, options: EncodeOptions, kind: str, target: float
) -> tuple[Trial, int]:
    """The encoding nearest to a target, and how many times the picture was encoded for it.

    `kind`: "size" (bytes of the whole file), "psnr" (dB), "ms-ssim" or "ssimulacra2" of what is
    seen of the decoded picture.
    `options.level` is where the search starts. Where the effort asks for refinement, the level is
    found without, corrected after a short one and then after a whole one; latents stay refined
    while the level moves a little.
    """
    encoder = PictureEncoder(picture, model, options)
    wanted = target_of(kind, target)
    search_stage = stage(options.progress, 0, _STAGES[0] if encoder.refines else 1)
    passes = itertools.count()

    def attempt(level: int, report: Progress = lambda share: None) -> Trial:
        data = encoder(level, report)
        if kind == "size":
            facts = describe(io.BytesIO(data))
            return Trial(level, len(data), data, facts["lossless_slices"] == facts["slices"])
        return Trial(level, _visible_quality(kind, picture, decode_picture(data, model)), data)

    def reported(level: int) -> Trial:
        number = next(passes)
        return attempt(level, stage(search_stage, _share_of(number), _share_of(number + 1)))

    trial, count = search(reported, wanted, model.level_max, options.level)
    shares = (SHORT, 1.0, 1.0) if encoder.refines else ()
    for number, share in enumerate(shares):
        level = trial.level
        encoder.refine(level, share, stage(options.progress, *_STAGES[number : number + 2]))
        trial, more = search(attempt, wanted, model.level_max, level)
        count += more
        if share == 1 and abs(trial.level - level) <= NEAR_LEVELS:
            break
    options.progress(1.0)
    return trial, count


def _visible_quality(kind: str, original: Picture, decoded: Picture) -> float:
    """The quality of what is seen: with transparency, the lower one over black and over white."""
    from vaecodec.metrics.distortion import METRICS  # for targets alone, which few encodings have

    measure = METRICS[kind].measure
    if original.alpha is None:
        return measure(original.pixels, decoded.pixels)
    white = 2 ** (8 * original.pixels.itemsize) - 1
    return min(
        measure(original.over(tone).pixels, decoded.over(tone).pixels) for tone in (0, white)
    )


def _share_of(passes: int) -> float:
    """How much of a search is done after so many passes: each one more halves what is left."""
    return passes / _USUAL if passes < _USUAL else 1 - 0.5 ** (passes - _USUAL + 1) / _USUAL


def meet_target(
    picture: Picture,
    model: Model,
    options: EncodeOptions,
    target: tuple[str, float],
    best_effort: bool,
) -> tuple[bytes, str]:
    """The file nearest to a target by kind ("bpp" or one of UNITS), and what is said of it.

    Raises TargetError where no level meets it, unless `best_effort`.
    """
    kind, value = target
    if kind == "bpp":
        height, width = picture.pixels.shape[:2]
        kind, value = "size", value * height * width / 8
    trial, _ = encode_to_target(picture, model, options, kind, value)
    if not best_effort:
        require(target_of(kind, value), trial, UNITS[kind])
    reached = "" if kind == "size" else f", {trial.value:.4g} {UNITS[kind]}"
    return trial.data, f", quality {scale_of(model).quality(trial.level):.1f}{reached}"
