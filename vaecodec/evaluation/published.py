"""Points that others published for a set of pictures, from published_points/NAME.csv."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "published_points"
NAMES = ("kodak",)


@dataclass(frozen=True)
class Published:
    """`curves`: points (bpp, PSNR in dB) `[N, 2]` by codec; `source`: where they come from."""

    curves: dict[str, np.ndarray]
    source: str


def read_published(name: str) -> Published:
    """The points of one of NAMES."""
    lines = (FOLDER / f"{name}.csv").read_text("utf-8").splitlines()
    source = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in csv.DictReader(line for line in lines if not line.startswith("#")):
        curves.setdefault(row["codec"], []).append((float(row["bpp"]), float(row["psnr"])))
    return Published({codec: np.array(sorted(points)) for codec, points in curves.items()}, source)


def is_of(name: str, sizes: list[tuple[int, int]]) -> bool:
    """Whether pictures of these sizes (width, height) can be the set that the points are of."""
    return (
        name == "kodak" and sorted(map(max, sizes)) == [768] * 24 and set(map(min, sizes)) == {512}
    )
