"""A picture in a terminal, as blocks of colour or of shades."""

from collections.abc import Mapping

import numpy as np
from PIL import Image

_UPPER_HALF = "\u2580"

_SHADES = " \u2591\u2592\u2593\u2588"

_ASCII_SHADES = " .:-=+*#%@"

_CUBE = np.array([0, 95, 135, 175, 215, 255])  # levels of the 6x6x6 colours of 256

_BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16 - 0.5


def colours_of(environment: Mapping[str, str], is_terminal: bool) -> int:
    """How many colours to write: 2**24, 256, or 0 for shades alone (NO_COLOR, a pipe, a dumb
    terminal)."""
    if not is_terminal or environment.get("NO_COLOR") or environment.get("TERM") == "dumb":
        return 0
    if environment.get("COLORTERM") in ("truecolor", "24bit"):
        return 2**24
    return 2**24 if environment.get("TERM", "").endswith("-direct") else 256


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
    code = _true_colour if colours > 256 else _colour_of_256
    rows = []
    for above, below in zip(rgb[::2], rgb[1::2], strict=True):
        cells, last = [], None
        for pair in zip(map(tuple, above.tolist()), map(tuple, below.tolist()), strict=True):
            if pair != last:
                cells.append(f"\x1b[38;{code(pair[0])};48;{code(pair[1])}m")
            cells.append(_UPPER_HALF)
            last = pair
        rows.append("".join(cells) + "\x1b[0m")
    return "\n".join(rows)


def _fit(image: Image.Image, width: int, height: int) -> Image.Image:
    """The RGB picture that fills `width` x `height` pixels in one direction; it may be enlarged."""
    if image.mode in ("LA", "RGBA"):
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (128, 128, 128)), rgba)
    part = min(width / image.width, height / image.height)
    size = max(1, round(part * image.width)), max(1, round(part * image.height))
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


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


def _true_colour(rgb: tuple[int, int, int]) -> str:
    return "2;{};{};{}".format(*rgb)


def _colour_of_256(rgb: tuple[int, int, int]) -> str:
    """The nearest of the colour cube and the greys."""
    pixel = np.array(rgb)
    cube = np.abs(_CUBE[:, None] - pixel).argmin(axis=0)
    grey = int(np.clip(np.rint((pixel.mean() - 8) / 10), 0, 23))
    if np.sum((8 + 10 * grey - pixel) ** 2) < np.sum((_CUBE[cube] - pixel) ** 2):
        return f"5;{232 + grey}"
    return f"5;{16 + int(cube @ [36, 6, 1])}"
