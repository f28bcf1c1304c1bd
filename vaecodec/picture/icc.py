"""Small ICC profiles for pictures that describe their colours in another way.

Profiles are of version 4 (ICC.1:2010): a matrix and a curve for RGB, a curve for grey.
"""

import struct

import numpy as np

SRGB_WHITE_AND_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_HEADER_BYTES = 128


def gamma_profile(gamma: float, chromaticities: tuple[float, ...], is_grey: bool) -> bytes:
    """The profile of samples that are light to the power of 1 / `gamma`.

    `chromaticities`: x and y of white, red, green and blue. Raises ValueError for values that
    describe no colours.
    """
    curve = struct.pack(">4s4xHxxi", b"para", 0, _fixed(gamma))
    if is_grey:
        return _profile(b"GRAY", {b"kTRC": curve})
    columns = _adapted_primaries(chromaticities).T
    return _rgb_profile(curve, columns)


def rgb_profile_of_grey(icc: bytes) -> bytes | None:
    """The profile under which RGB samples that are equal show as grey samples do under `icc`.

    None where `icc` is no sound profile of a curve.
    """
    curve = _tags(icc).get(b"kTRC")
    if curve is None:
        return None
    return _rgb_profile(curve, _adapted_primaries(SRGB_WHITE_AND_PRIMARIES).T)


def colour_space(icc: bytes) -> str:
    """The space of a profile's samples: "RGB", "GRAY", "CMYK", "Lab", ..."""
    return icc[16:20].decode("latin-1").strip()


def _rgb_profile(curve: bytes, columns: np.ndarray) -> bytes:
    tags = {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True):
        tags[name] = _xyz(column)
    return _profile(b"RGB ", tags)


def _adapted_primaries(chromaticities: tuple[float, ...]) -> np.ndarray:
    """`[3, 3]`: the XYZ of red, green and blue as columns, seen under D50."""
    xy = np.array(chromaticities, np.float64).reshape(4, 2)
    if not (xy[:, 1] > 0).all():
        raise ValueError("chromaticities of no colours")
    xyz = np.column_stack([xy[:, 0], xy[:, 1], 1 - xy.sum(axis=1)]) / xy[:, 1:]
    white, primaries = xyz[0], xyz[1:].T
    try:
        matrix = primaries * np.linalg.solve(primaries, white)
    except np.linalg.LinAlgError:
        raise ValueError("chromaticities of no colours") from None
    scale = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white))
    adapted: np.ndarray = np.linalg.inv(_BRADFORD) @ scale @ _BRADFORD @ matrix
    return adapted


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = "vaecodec".encode("utf-16-be")
    description = struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", len(text), 28) + text
    tags = {b"desc": description, b"cprt": description, b"wtpt": _xyz(_D50), **tags}
    position = _HEADER_BYTES + 4 + 12 * len(tags)
    table, data = [struct.pack(">I", len(tags))], b""
    for name, content in tags.items():
        table.append(struct.pack(">4sII", name, position + len(data), len(content)))
        data += content + bytes(-len(content) % 4)
    size = position + len(data)
    made = (2000, 1, 1, 0, 0, 0)  # the same bytes always
    header = struct.pack(
        ">I4xI4s4s4s6H4s28x", size, 0x04200000, b"mntr", space, b"XYZ ", *made, b"acsp"
    )
    header += b"".join(map(_fixed_bytes, _D50))
    return header.ljust(_HEADER_BYTES, b"\0") + b"".join(table) + data


def _tags(icc: bytes) -> dict[bytes, bytes]:
    if len(icc) < _HEADER_BYTES + 4:
        return {}
    count = struct.unpack_from(">I", icc, _HEADER_BYTES)[0]
    tags = {}
    for entry in range(_HEADER_BYTES + 4, _HEADER_BYTES + 4 + 12 * min(count, 100), 12):
        if entry + 12 > len(icc):
            return {}
        name, position, size = struct.unpack_from(">4sII", icc, entry)
        tags[name] = icc[position : position + size]
    return tags


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed_bytes, values))


def _fixed(value: float) -> int:
    """As a signed number of 16 bits and 16 binary places."""
    if not -32768 <= value < 32768:
        raise ValueError(f"{value} is out of a profile's range")
    return round(float(value) * 65536)


def _fixed_bytes(value: float) -> bytes:
    return struct.pack(">i", _fixed(value))
