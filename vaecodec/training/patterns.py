"""Pictures that no camera makes, drawn for training: text, boxes, boards, gradients, lines, noise.

A network that has seen photographs only makes some of them worse with more bits.
"""

import string
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Rng = np.random.Generator

FONT_FOLDERS = ("/usr/share/fonts", "/Library/Fonts", "C:/Windows/Fonts")
FONT_SIZES = (8, 40)  # pixels
LETTERS = string.ascii_letters + string.digits + string.punctuation + " " * 12


def draw_pattern(side: int, rng: Rng) -> np.ndarray:
    """A pattern uint8 `[side, side, 3]`, one of KINDS by chance."""
    return KINDS[rng.integers(len(KINDS))](side, rng)


def _text(side: int, rng: Rng) -> np.ndarray:
    image, ink = _sheet(side, rng)
    size = int(rng.integers(*FONT_SIZES))
    font = _font(int(rng.integers(1 << 30)), size)
    draw = ImageDraw.Draw(image)
    for top in range(int(rng.integers(size)), side, int(size * rng.uniform(1.1, 1.6)) + 1):
        line = "".join(rng.choice(list(LETTERS), 2 * side // size + 1))
        draw.text((int(rng.integers(-size, size)), top), line, fill=ink, font=font)
    return np.asarray(image)


def _boxes(side: int, rng: Rng) -> np.ndarray:
    image, _ = _sheet(side, rng)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(3, 40))):
        left, top = rng.integers(-side // 4, side, 2)
        width, height = rng.integers(1, side // 2, 2)
        shape = draw.rectangle if rng.random() < 0.7 else draw.ellipse
        edge = _colour(rng) if rng.random() < 0.3 else None
        corner = (int(left + width), int(top + height))
        shape([(int(left), int(top)), corner], fill=_colour(rng), outline=edge)
    return np.asarray(image)


def _lines(side: int, rng: Rng) -> np.ndarray:
    image, ink = _sheet(side, rng)
    draw = ImageDraw.Draw(image)
    width = int(rng.integers(1, 5))
    for _ in range(int(rng.integers(3, 30))):
        ends = [(int(x), int(y)) for x, y in rng.integers(-side // 4, side * 5 // 4, (2, 2))]
        draw.line(ends, fill=ink if rng.random() < 0.7 else _colour(rng), width=width)
    return np.asarray(image)


def _board(side: int, rng: Rng) -> np.ndarray:
    height, width = (int(2 ** rng.uniform(0, 5.5)) for _ in range(2))
    rows, columns = np.mgrid[:side, :side] + rng.integers(0, 64, 2)[:, None, None]
    fields = (rows // height + columns // width) % 2
    board: np.ndarray = np.array([_colour(rng), _colour(rng)], np.uint8)[fields]
    return board


def _gradient(side: int, rng: Rng) -> np.ndarray:
    corners = np.array([_colour(rng) for _ in range(4)], float).reshape(2, 2, 3)
    across = np.linspace(0, 1, side)
    edges = corners[:, 0, None] + across[:, None] * (corners[:, 1, None] - corners[:, 0, None])
    plane: np.ndarray = np.rint(edges[0] + across[:, None, None] * (edges[1] - edges[0]))
    return plane.astype(np.uint8)


def _noise(side: int, rng: Rng) -> np.ndarray:
    grain = int(rng.integers(1, 5))
    cells = -(-side // grain)
    channels = 1 if rng.random() < 0.5 else 3
    noise = rng.normal(0, rng.uniform(2, 60), (cells, cells, channels))
    large = noise.repeat(grain, 0).repeat(grain, 1)[:side, :side]
    return np.clip(np.array(_colour(rng), float) + large, 0, 255).astype(np.uint8)


KINDS: tuple[Callable[[int, Rng], np.ndarray], ...] = (
    _text,
    _text,  # what people put into pictures most
    _boxes,
    _lines,
    _board,
    _gradient,
    _noise,
)


def _sheet(side: int, rng: Rng) -> tuple[Image.Image, tuple[int, int, int]]:
    """Paper, and the colour of ink on it: half of the time dark on white, or the reverse."""
    paper, ink = _colour(rng), _colour(rng)
    if rng.random() < 0.5:
        paper, ink = (255, 255, 255), (0, 0, 0)
        if rng.random() < 0.3:
            paper, ink = ink, paper
    return Image.new("RGB", (side, side), paper), ink


def _colour(rng: Rng) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in rng.integers(0, 256, 3))
    return red, green, blue


@cache
def _fonts() -> list[Path]:
    return sorted(path for folder in FONT_FOLDERS for path in Path(folder).rglob("*.ttf"))


def _font(number: int, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """One of the machine's fonts, or Pillow's where it has none."""
    fonts = _fonts()
    if not fonts:
        return ImageFont.load_default(size)
    return ImageFont.truetype(str(fonts[number % len(fonts)]), size)
