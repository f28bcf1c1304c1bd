"""SSIMULACRA 2.1, how visible the damage to a picture is (Sneyers, Cloudinary).

Structure, ringing and blur are compared in the colour space XYB at five scales. Of the algorithm's
108 terms the 25 with a weight of 0.01 or more are here: on the 14 pairs that were compared with
the reference tool the others move no score by 0.001. These 14 scores are within 0.1 of the tool's,
but for a constant shift of colour (0.5), where rounding is all the structure there is.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from vaecodec.metrics.recursive_gaussian import recursive_gaussian

OPSIN_MATRIX = (  # linear R, G, B to the three cone responses
    (0.30, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.5518098665095536),
)
OPSIN_BIAS = 0.0037930732552754493
X_GAIN, X_OFFSET, Y_OFFSET, B_OFFSET = 14.0, 0.42, 0.01, 0.55  # XYB to about 0..1
BLUR_TAPS = (0.26462111, 0.21292859, 0.10933537, 0.03601111, 0.00941437)  # centre outwards
STABILITY = 0.0009  # keeps the structure term finite where both pictures are flat
SCALES = 5  # 1:1 to 1:16; all weights at 1:32 are below 0.01

# By number of halvings and plane: of each map the weights of its mean and of its 4-norm, the
# fourth root of the mean fourth power.
WEIGHTS = {
    (0, "Y"): {"structure": (0.0, 7.466890328078848), "blur": (0.0, 17.445833984131262)},
    (1, "X"): {"structure": (0.0, 1.1041726426657346)},
    (1, "Y"): {"structure": (0.0, 6.683678146179332), "blur": (0.0, 1.027889937768264)},
    (2, "X"): {"structure": (0.0, 1.8422455520539298), "ringing": (0.0, 11.441172603757666)},
    (2, "Y"): {"structure": (225.20515300849274, 19.213238186143016)},
    (3, "X"): {"structure": (0.0, 1.8787594979546387), "ringing": (0.0, 10.94906990605142)},
    (3, "Y"): {
        "structure": (176.39317598450694, 24.43300999870476),
        "ringing": (0.0, 0.28520802612117757),
    },
    (3, "B"): {"structure": (0.0, 8.826982764996862), "ringing": (0.0, 23.19243343998926)},
    (4, "X"): {"ringing": (0.9677937080626833, 0.9981766977854967)},
    (4, "Y"): {"structure": (0.0, 34.77906344483772), "ringing": (0.0, 44.835625328877896)},
    (4, "B"): {
        "structure": (95.1080498811086, 0.0),
        "ringing": (0.9863978034400682, 171.2667255897307),
        "blur": (0.9834382792465353, 0.9807858872435379),
    },
}
# From the weighted sum of the terms to the score: 100 - 10 p(SUM_SCALE * sum) ** POWER.
SUM_SCALE = 0.9562382616834844
POLYNOMIAL = (2.326765642916932, -0.020884521182843837, 6.248496625763138e-05)  # of s, s^2, s^3
POWER = 0.6276336467831387

SMALLEST_SIDE = 64  # pixels: below, there is no fifth scale
TILE = (128, 512)  # rows and columns worked on at once: the planes of a tile stay in the cache
REACH = len(BLUR_TAPS) - 1  # pixels
# From this number of halvings on, scores take the reference tool's own blur, rounding and all: with
# exact arithmetic they are up to 0.11 higher below 80 and 0.34 above. At the two finer scales it
# would change next to nothing, and cost most.
RECURSIVE_FROM = 2

# What the blur sees outside of a picture: zeros, or the picture reflected.
Outside = Literal["constant", "symmetric"]


class _TileMaps(NamedTuple):
    """The maps of one plane at one scale in one tile, each `[rows, columns]` float32."""

    halvings: int
    plane: str
    rows: slice
    columns: slice
    maps: dict[str, np.ndarray]


def ssimulacra2(original: np.ndarray, distorted: np.ndarray) -> float:
    """SSIMULACRA 2 of `distorted`, 100 where both are equal: 70 is not annoying, 80 invisible side
    by side, 90 invisible by flicker; the worst are below 0.

    Both are sRGB `[H, W, 3]` or grey `[H, W]`, of one height and width, each uint8, uint16 or
    finite float in 0..1 (what is outside is clipped). Below SMALLEST_SIDE pixels a side pictures
    are continued by reflection to that: leaving out the scales they lack would score damage that
    shows as invisible. Raises ValueError for other shapes or types.
    """
    return score_of_sum(weighted_sum(original, distorted))


def weighted_sum(original: np.ndarray, distorted: np.ndarray) -> float:
    """The weighted sum of the terms, of pictures as `ssimulacra2` takes them: a distance, 0 where
    both are equal. A score of 83 is a sum of 1, one of 70 a sum of 2.5, one of 50 a sum of 6."""
    first, second = _checked(original, distorted)
    sums: dict[tuple[int, str, str], np.ndarray] = {}
    for tile in _tiles(first, second, "constant"):
        for name, values in tile.maps.items():
            squared = np.square(values)
            parts = np.array([values.sum(), np.vdot(squared, squared)], np.float64)
            key = tile.halvings, tile.plane, name
            sums[key] = sums.get(key, 0.0) + parts
    total = 0.0
    for (halvings, plane, name), (sum_1, sum_4) in sums.items():
        pixels = math.prod(_shape(first, halvings))
        mean_weight, norm_weight = WEIGHTS[halvings, plane][name]
        total += mean_weight * sum_1 / pixels + norm_weight * (sum_4 / pixels) ** 0.25
    return SUM_SCALE * float(total)


def score_of_sum(total: float) -> float:
    """The score from `weighted_sum`."""
    if total <= 0:
        return 100.0
    a, b, c = POLYNOMIAL
    return 100 - 10 * math.pow(total * (a + total * (b + total * c)), POWER)


def error_map(original: np.ndarray, distorted: np.ndarray) -> np.ndarray:
    """`[H, W]` float32: where the damage is, of pictures as `ssimulacra2` takes them.

    At each pixel the maps of all scales, with the weights and in the unit of `weighted_sum`: 0
    where both are equal. The value at a pixel depends on its surroundings only, so two distorted
    pictures compare place by place. Its mean is near `weighted_sum` and orders versions of a
    picture alike, but is not it: a 4-norm is no sum over pixels; and the score hardly sees the
    edges of a picture, where its blur takes in zeros, while the map continues the picture by
    reflection. Raises ValueError as `ssimulacra2` does.
    """
    first, second = _checked(original, distorted)
    sums = [np.zeros(_shape(first, halvings), np.float32) for halvings in range(SCALES)]
    for tile in _tiles(first, second, "symmetric"):
        for name, values in tile.maps.items():
            weight = SUM_SCALE * sum(WEIGHTS[tile.halvings, tile.plane][name])
            sums[tile.halvings][tile.rows, tile.columns] += np.float32(weight) * values
    for coarse, fine in itertools.pairwise(reversed(sums)):
        _add_doubled(fine, coarse)
    return sums[0][: original.shape[0], : original.shape[1]]


def _checked(*pictures: np.ndarray) -> list[np.ndarray]:
    """The pictures as `[H, W, 3]`, no side below SMALLEST_SIDE."""
    if pictures[0].shape[:2] != pictures[1].shape[:2]:
        sizes = ["x".join(map(str, picture.shape[1::-1])) for picture in pictures]
        raise ValueError(f"the pictures differ in size: {sizes[0]} and {sizes[1]} pixels")
    checked = []
    for picture in pictures:
        if picture.ndim == 2:
            picture = np.broadcast_to(picture[..., None], (*picture.shape, 3))
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
            raise ValueError(f"SSIMULACRA 2 takes [H, W, 3] or [H, W], not {picture.shape}")
        if picture.dtype not in (np.uint8, np.uint16) and picture.dtype.kind != "f":
            raise ValueError(f"SSIMULACRA 2 takes uint8, uint16 or floats, not {picture.dtype}")
        missing = [max(0, SMALLEST_SIDE - side) for side in picture.shape[:2]]
        if any(missing):
            picture = np.pad(picture, [*((0, n) for n in missing), (0, 0)], "symmetric")
        checked.append(picture)
    return checked


def _shape(picture: np.ndarray, halvings: int) -> tuple[int, int]:
    height, width = (-(-side // 2**halvings) for side in picture.shape[:2])
    return height, width


def _tiles(original: np.ndarray, distorted: np.ndarray, outside: Outside) -> Iterator[_TileMaps]:
    """The maps that carry weight, of all scales, tile by tile.

    Beside the pictures it holds both at the next scale, linear light in float32: 6 bytes a pixel
    of the first scale, 7.5 while the third is made.
    """
    pair = [original, distorted]
    to_linear: Callable[[np.ndarray], np.ndarray] = _linear
    for halvings in range(SCALES):
        if halvings:
            pair, to_linear = [_halved(picture, to_linear) for picture in pair], _planar
        height, width = pair[0].shape[:2]
        planes = [plane for at, plane in WEIGHTS if at == halvings]
        if outside == "constant" and halvings >= RECURSIVE_FROM:
            first, second = (_xyb(to_linear(picture), planes) for picture in pair)
            for plane in planes:
                maps = _maps_of_tool(first.pop(plane), second.pop(plane))
                wanted = {name: maps[name] for name in WEIGHTS[halvings, plane]}
                yield _TileMaps(halvings, plane, slice(0, height), slice(0, width), wanted)
            continue
        for top, left in itertools.product(range(0, height, TILE[0]), range(0, width, TILE[1])):
            rows = slice(top, min(top + TILE[0], height))
            columns = slice(left, min(left + TILE[1], width))
            sides = []
            for picture in pair:
                part, missing = _with_surroundings(picture, rows, columns)
                xyb = _xyb(to_linear(part), planes)
                sides.append({name: np.pad(xyb[name], missing, outside) for name in planes})
            for plane in planes:
                x, y = (side[plane] for side in sides)
                maps = _maps(x, y, "structure" in WEIGHTS[halvings, plane])
                wanted = {name: maps[name] for name in WEIGHTS[halvings, plane]}
                yield _TileMaps(halvings, plane, rows, columns, wanted)


def _linear(pixels: np.ndarray) -> np.ndarray:
    """sRGB `[H, W, 3]` to linear light `[3, H, W]` float32."""
    if pixels.dtype.kind == "f":
        return _from_srgb(np.clip(_planar(pixels), 0, 1)).astype(np.float32)
    return np.take(_linear_table(np.iinfo(pixels.dtype).max), _planar(pixels))


@functools.cache
def _linear_table(white: int) -> np.ndarray:
    return _from_srgb(np.arange(white + 1) / white).astype(np.float32)


def _from_srgb(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _planar(picture: np.ndarray) -> np.ndarray:
    planes: np.ndarray = picture.transpose(2, 0, 1)
    return planes


def _halved(picture: np.ndarray, to_linear: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """2x2 means in linear light, `[H / 2, W / 2, 3]` float32; an odd edge counts twice."""
    height, width = picture.shape[:2]
    halved = np.empty((3, -(-height // 2), -(-width // 2)), np.float32)
    for top in range(0, height, TILE[0]):
        linear = to_linear(picture[top : top + TILE[0]])
        odd = [(0, side % 2) for side in linear.shape[1:]]
        if (0, 1) in odd:
            linear = np.pad(linear, [(0, 0), *odd], "edge")
        pairs = linear[:, 0::2] + linear[:, 1::2]
        band = halved[:, top // 2 : top // 2 + pairs.shape[1]]
        np.add(pairs[:, :, 0::2], pairs[:, :, 1::2], out=band)
        band *= np.float32(0.25)
    result: np.ndarray = halved.transpose(1, 2, 0)
    return result


def _with_surroundings(
    picture: np.ndarray, rows: slice, columns: slice
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The tile with the pixels around it that its blur reaches, and how many of these are outside
    of the picture, before and behind, by axis."""
    around, missing = [], []
    for inside, side in zip((rows, columns), picture.shape, strict=False):
        first, last = max(inside.start - REACH, 0), min(inside.stop + REACH, side)
        around.append(slice(first, last))
        missing.append((first - inside.start + REACH, inside.stop + REACH - last))
    return picture[around[0], around[1]], missing


def _xyb(linear: np.ndarray, planes: list[str]) -> dict[str, np.ndarray]:
    """Linear light `[3, H, W]` to these planes, each `[H, W]` float32."""
    matrix = np.array(OPSIN_MATRIX if "B" in planes else OPSIN_MATRIX[:2], np.float32)
    cones = matrix @ linear.reshape(3, -1)
    cones += np.float32(OPSIN_BIAS)
    np.log(cones, out=cones)  # cube roots, four times as fast as np.cbrt
    cones *= np.float32(1 / 3)
    np.exp(cones, out=cones)
    cones -= np.float32(np.cbrt(OPSIN_BIAS))
    long, medium = cones[0].reshape(linear.shape[1:]), cones[1].reshape(linear.shape[1:])
    y = (long + medium) * np.float32(0.5)
    xyb = {"Y": y + np.float32(Y_OFFSET)}
    if "X" in planes:
        xyb["X"] = (long - medium) * np.float32(X_GAIN / 2) + np.float32(X_OFFSET)
    if "B" in planes:
        xyb["B"] = cones[2].reshape(y.shape) - y + np.float32(B_OFFSET)
    return xyb


def _maps(x: np.ndarray, y: np.ndarray, structure: bool) -> dict[str, np.ndarray]:
    """The maps of a plane of the original, `x`, and of the distorted picture, `y`: both
    `[H + 2 REACH, W + 2 REACH]`, the maps `[H, W]`."""
    inside = slice(REACH, -REACH), slice(REACH, -REACH)
    mean_x, mean_y = _blurred(x), _blurred(y)
    maps = _edge_maps(x[inside], y[inside], mean_x, mean_y)
    if structure:
        # The same as 1 - (1 - (mean_x - mean_y)^2) (2 covariance + C) / (both variances + C),
        # without the rounding of a difference of nearly equal numbers.
        gap = np.square(mean_x - mean_y)
        difference = x - y
        misfit = _blurred(np.square(difference, out=difference)) - gap
        energy = _blurred(x * x + y * y) - (mean_x * mean_x + mean_y * mean_y)
        energy += np.float32(STABILITY)
        misfit /= energy
        misfit *= 1 - gap
        misfit += gap
        maps["structure"] = np.maximum(misfit, 0)
    return maps


def _maps_of_tool(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """The same of whole planes `[H, W]`, as the reference tool computes and rounds them."""
    mean_x, square_x = recursive_gaussian(np.stack([x, x * x]))
    mean_y, square_y = recursive_gaussian(np.stack([y, y * y]))
    (product,) = recursive_gaussian((x * y)[None])
    maps = _edge_maps(x, y, mean_x, mean_y)
    gap = np.square(mean_x - mean_y)
    shared = 2 * (product - mean_x * mean_y) + np.float32(STABILITY)
    energy = square_x - mean_x * mean_x + (square_y - mean_y * mean_y) + np.float32(STABILITY)
    maps["structure"] = np.maximum(1 - (1 - gap) * shared / energy, 0)
    return maps


def _edge_maps(
    x: np.ndarray, y: np.ndarray, mean_x: np.ndarray, mean_y: np.ndarray
) -> dict[str, np.ndarray]:
    excess = (1 + np.abs(y - mean_y)) / (1 + np.abs(x - mean_x)) - 1
    return {"ringing": np.maximum(excess, 0), "blur": np.maximum(-excess, 0)}


def _blurred(plane: np.ndarray) -> np.ndarray:
    """`[H + 2 REACH, W + 2 REACH]` to `[H, W]`, by BLUR_TAPS down and across."""
    for axis in (0, 1):
        length = plane.shape[axis] - 2 * REACH
        parts = [
            plane[at : at + length] if axis == 0 else plane[:, at : at + length]
            for at in range(2 * REACH + 1)
        ]
        plane = parts[REACH] * np.float32(BLUR_TAPS[0])
        pair = np.empty_like(plane)
        for distance, tap in enumerate(BLUR_TAPS[1:], 1):
            np.add(parts[REACH - distance], parts[REACH + distance], out=pair)
            pair *= np.float32(tap)
            plane += pair
    return plane


def _add_doubled(fine: np.ndarray, coarse: np.ndarray) -> None:
    """Adds `coarse` at twice its size to `fine`, linear between the centres of its pixels."""
    height, width = fine.shape
    tall = _twice_as_tall(coarse)[:height]
    for top in range(0, height, TILE[0]):
        band = slice(top, top + TILE[0])
        fine[band] += _twice_as_tall(tall[band].T)[:width].T


def _twice_as_tall(plane: np.ndarray) -> np.ndarray:
    near = np.float32(0.75) * plane
    far = np.float32(0.25) * np.pad(plane, ((1, 1), (0, 0)), "edge")
    return np.stack([near + far[:-2], near + far[2:]], 1).reshape(-1, plane.shape[1])
