"""A picture in a terminal, as graphics where it has them, else as blocks of colour or of shades."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

_UPPER_HALF = "\u2580"

_SHADES = " \u2591\u2592\u2593\u2588"

_ASCII_SHADES = " .:-=+*#%@"

_CUBE = (0, 95, 135, 175, 215, 255)  # levels of the 6x6x6 colours of 256
_FIRST_OF_256 = 16  # the colours before differ by terminal
_PALETTE = [level for r in _CUBE for g in _CUBE for b in _CUBE for level in (r, g, b)]
_PALETTE += [level for grey in range(8, 248, 10) for level in 3 * [grey]]

_BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16 - 0.5


def colours_of(environment: Mapping[str, str], is_terminal: bool) -> int:
    """How many colours to write: 2**24, 256, or 0 for shades alone (NO_COLOR, a pipe, a dumb
    terminal)."""
    if not is_terminal or environment.get("NO_COLOR") or environment.get("TERM") == "dumb":
        return 0
    if environment.get("COLORTERM") in ("truecolor", "24bit"):
        return 2**24
    return 2**24 if environment.get("TERM", "").endswith("-direct") else 256


def terminal_graphics() -> Callable[[Image.Image], None] | None:
    """What shows an image as graphics, by sixels or by kitty's protocol; None where the terminal,
    which is asked, has neither or no size, and where the package textual-image is not installed."""
    if not (sys.stdin.isatty() and sys.stdout.isatty() and all(os.get_terminal_size())):
        return None
    try:
        from textual_image import renderable  # which asks as it is imported
    except ImportError:
        return None
    kind = renderable.Image
    if kind not in (renderable.SixelImage, renderable.TGPImage):
        return None

    def show(image: Image.Image) -> None:
        from rich.console import Console

        size = shutil.get_terminal_size()
        console = Console(width=size.columns, height=size.lines - 1)
        console.print(kind(_on_grey(image), "auto", "auto"))

    return show


def blocks(
    samples: np.ndarray, columns: int, lines: int, colours: int, unicode: bool = True
) -> str:
    """A picture, uint8 `[H, W]` or `[H, W, 3 or 4]`, as at most `lines` lines of `columns` cells.

    A cell is as wide as half its height, so it shows two pixels, one above the other, in `colours`
    (see `colours_of`); without colours or `unicode` it shows their mean as a shade, as light as the
    cell is full. Transparency is laid on mid grey.
    """
    image = _fit(Image.fromarray(samples), columns, 2 * lines)
    rgb = np.asarray(image)
    rgb = np.pad(rgb, [(0, len(rgb) % 2), (0, 0), (0, 0)], mode="edge")
    if not colours or not unicode:
        return _shaded(rgb, _SHADES if unicode else _ASCII_SHADES)
    codes = _true_colours(rgb) if colours > 256 else _colours_of_256(rgb)
    rows = []
    for above, below in zip(codes[::2], codes[1::2], strict=True):
        cells, last = [], None
        for pair in zip(above, below, strict=True):
            if pair != last:
                cells.append(f"\x1b[38;{pair[0]};48;{pair[1]}m")
            cells.append(_UPPER_HALF)
            last = pair
        rows.append("".join(cells) + "\x1b[0m")
    return "\n".join(rows)


def _fit(image: Image.Image, width: int, height: int) -> Image.Image:
    """The RGB picture that fills `width` x `height` pixels in one direction; it may be enlarged."""
    part = min(width / image.width, height / image.height)
    size = max(1, round(part * image.width)), max(1, round(part * image.height))
    return _on_grey(image).resize(size, Image.Resampling.LANCZOS)


def _on_grey(image: Image.Image) -> Image.Image:
    """The image as RGB, on mid grey where it is transparent."""
    if image.mode in ("LA", "RGBA"):
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (128, 128, 128)), rgba)
    return image.convert("RGB")


def _shaded(rgb: np.ndarray, shades: str) -> str:
    """Two rows of pixels a line, by luma, spread over all of the few shades and dithered a
    little."""
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    cells = (luma[::2] + luma[1::2]) / 2
    dark, light = np.percentile(cells, [2, 98])
    cells = (cells - dark) / max(light - dark, 64) * (len(shades) - 1)
    rows, columns = np.indices(cells.shape) % 4
    steps = np.rint(cells + 0.5 * _BAYER[rows, columns]).astype(int).clip(0, len(shades) - 1)
    return "\n".join("".join(shades[step] for step in line).rstrip() for line in steps)


def _true_colours(rgb: np.ndarray) -> list[list[str]]:
    return [["2;{};{};{}".format(*pixel) for pixel in row] for row in rgb.tolist()]


def _colours_of_256(rgb: np.ndarray) -> list[list[str]]:
    """Of the colour cube and the greys, dithered: the nearest of them alone turns skin grey."""
    palette = Image.new("P", (1, 1))
    palette.putpalette(_PALETTE)
    indices = Image.fromarray(rgb).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    return [[f"5;{_FIRST_OF_256 + i}" for i in row] for row in np.asarray(indices).tolist()]
