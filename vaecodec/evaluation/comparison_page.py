"""The page of a comparison: one file with pictures, style and program, which needs no network."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from vaecodec.codec.tiling import Region
from vaecodec.errors import UsageError
from vaecodec.evaluation.comparison import FIGURES, MAX_SHOWN_PIXELS, Shown, central_region
from vaecodec.evaluation.pages import data_uri, render_page
from vaecodec.metrics.distortion import METRICS
from vaecodec.metrics.ssimulacra2 import error_map, score_of_sum
from vaecodec.picture.picture import Picture

SAME_SIZE = 0.03  # sizes that differ by more are not called the same
_WEBP_SIDE = 16383  # of a WebP picture, at most
# Colours of an error map, from 0 to HOTTEST in the unit of `error_map`: brightness rises evenly.
HOTTEST = 12.0
_HEAT = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
_SHADES = 64
_MARKS = (1.0, 3.0, 6.0, 9.0, 12.0)  # of the legend


@dataclass(frozen=True)
class Original:
    """The photo: `pixels`, uint8 `[H, W, 3]`, of what is shown of it; `part`: words for that, empty
    for all of it; `icc`: its profile, which the pictures on the page get, too; of the whole file
    `file_bytes` and `file_pixels`."""

    name: str
    pixels: np.ndarray
    part: str
    icc: bytes | None
    file_bytes: int
    file_pixels: int

    @classmethod
    def of(cls, picture: Picture, name: str, file_bytes: int, crop: Region | None) -> "Original":
        """What is shown of a picture: `crop`, or its middle where it is too large for a page.

        Transparency is left out. Raises UsageError for a crop that is outside or too large.
        """
        pixels, icc = picture.in_8_bits().pixels, picture.metadata.get("icc")
        if pixels.ndim == 2:
            pixels, icc = np.repeat(pixels[:, :, None], 3, axis=2), None  # that is one of grey
        height, width = pixels.shape[:2]
        region = crop or central_region(width, height)
        if not region.fits(width, height):
            raise UsageError(f"part {region} is not inside {width}x{height}")
        if region.width * region.height > MAX_SHOWN_PIXELS:
            raise UsageError(f"part {region} is over the {MAX_SHOWN_PIXELS} pixels of a page")
        whole = (region.width, region.height) == (width, height)
        part = "" if whole else f" ({region}) of {width} \u00d7 {height}"
        shown = np.ascontiguousarray(pixels[region.rows, region.columns])
        return cls(name, shown, part, icc, file_bytes, height * width)


def render(original: Original, shown: list[Shown]) -> str:
    """The page of a photo beside the pictures of vaecodec, the first, and of other codecs."""
    height, width = original.pixels.shape[:2]
    own, *peers = shown
    same = all(abs(_more(own, peer)) <= SAME_SIZE for peer in peers)
    return render_page(
        "compare.html",
        name=original.name,
        names=[one.name for one in shown],
        same=same,
        ratio=f"{height / width:.5f}",
        size=f"{width} \u00d7 {height}{original.part}",
        sizes=[_size(own, one) for one in shown],
        panes=_panes(original, shown),
        legend=_legend(),
        figures=[_heading(name) for name in FIGURES],
        original=_original_row(original),
        rows=_rows(shown),
        made_by="; ".join(one.title for one in shown),
    )


def _more(own: Shown, peer: Shown) -> float:
    return peer.size_bytes / own.size_bytes - 1


def _size(own: Shown, one: Shown) -> str:
    text = f"{one.name} {one.size_bytes:,} bytes"
    if one is own or one.size_bytes == own.size_bytes:
        return text
    return f"{text} ({100 * _more(own, one):+.1f} %)".replace("-", "\u2212")


def _panes(original: Original, shown: list[Shown]) -> list[dict[str, str]]:
    """The pictures with their captions; the page's program arranges them."""
    first = {"key": "original", "name": "Original", "caption": "Original", "errors": ""}
    panes = [first | {"uri": _picture_uri(original.pixels, original.icc)}]
    for key, one in zip(_keys(shown), shown, strict=True):
        pane = {"key": key, "name": one.name, "uri": _picture_uri(one.pixels, original.icc)}
        pane["caption"] = f"{one.name} \u00b7 {one.size_bytes / 1000:.1f} kB"
        pane["errors"] = _picture_uri(_heat(error_map(original.pixels, one.pixels)), None)
        panes.append(pane)
    return panes


def _keys(shown: list[Shown]) -> list[str]:
    """The classes by which the page's style tells the codecs apart."""
    return ["own", *(f"peer-{number % 4 + 1}" for number in range(len(shown) - 1))]


def _heading(name: str) -> str:
    metric = METRICS[name]
    return f"{metric.title}, {metric.unit}" if name == "psnr" else metric.title


def _original_row(original: Original) -> dict[str, str]:
    return {
        "name": "Original, whole file" if original.part else "Original file",
        "bytes": f"{original.file_bytes:,}",
        "bpp": f"{8 * original.file_bytes / original.file_pixels:.3f}",
    }


def _rows(shown: list[Shown]) -> list[dict[str, Any]]:
    """The rows of the table; of each figure whether it is the best one."""
    return [
        {
            "key": key,
            "name": one.name,
            "bytes": f"{one.size_bytes:,}",
            "bpp": f"{one.bpp:.3f}",
            "quality": f"{one.quality:.4g}",
            "figures": [
                (METRICS[name].said(one.figures[name]), _is_best(name, one, shown))
                for name in FIGURES
            ],
        }
        for key, one in zip(_keys(shown), shown, strict=True)
    ]


def _is_best(name: str, one: Shown, shown: list[Shown]) -> bool:
    value, others = one.figures[name], [o.figures[name] for o in shown if o is not one]
    return value is not None and all(
        other is not None and METRICS[name].is_better(value, other) for other in others
    )


def _heat(errors: np.ndarray) -> np.ndarray:
    """Colours `[H, W, 3]` of an error map `[H, W]`."""
    shades = np.minimum(errors * (_SHADES - 1) / HOTTEST, _SHADES - 1)
    return _palette()[np.rint(shades).astype(np.uint8)]


def _palette() -> np.ndarray:
    places = np.linspace(0, len(_HEAT) - 1, _SHADES)
    stops = np.arange(len(_HEAT))
    bands = [np.interp(places, stops, band) for band in zip(*_HEAT, strict=True)]
    palette: np.ndarray = np.rint(np.stack(bands, axis=1)).astype(np.uint8)
    return palette


def _legend() -> dict[str, Any]:
    """What the colours mean: where on the scale a picture that is so everywhere would score."""
    stops = ", ".join(f"rgb({r} {g} {b})" for r, g, b in _HEAT)
    marks = [(f"{100 * at / HOTTEST:.1f}", f"{score_of_sum(at):.0f}") for at in _MARKS]
    return {"stops": stops, "marks": marks}


def _picture_uri(pixels: np.ndarray, icc: bytes | None) -> str:
    """The picture without loss, as WebP, which is smaller, or as PNG where it is too long for
    that."""
    webp = max(pixels.shape) <= _WEBP_SIDE
    kind, options = ("webp", {"lossless": True, "method": 3}) if webp else ("png", {})
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind.upper(), icc_profile=icc, **options)
    return data_uri(kind, buffer.getvalue())
