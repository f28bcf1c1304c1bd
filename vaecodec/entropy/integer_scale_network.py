"""The integer scale network: which table each latent is coded with, bit-equal on every machine.

The reader of a file must choose the very tables that its writer chose, or everything after the
first difference is lost. So nothing here is ever rounded by floating-point hardware: all values are
integers, carried in float32 where every partial sum provably stays below 2**24 and in float64
(2**53) otherwise, where addition and multiplication are exact in any order. Matrix products are
plain BLAS; algorithms that transform their input (Winograd, FFT, TF32) must not be used.

Number formats, in fraction bits: activations 4 (0..127), |r| codes 4 (0..127), z 0 (-127..127),
weights 10; so sums over z carry 10 and all others 14. Biases carry the bits of the sum they join.
An activation is clamp(floor((sum + half) / 2**10), 0, 127) (over z: 2**6); the scale index is
clamp(floor((sum + half) / 2**11), 0, 63): 14 bits less the 3 of the unit of 8 indices.

`network.scale_network.ScaleNetwork` is the same network in training; `integer_parameters` converts
it.
"""

import numpy as np

from vaecodec.cores import single_blas_thread
from vaecodec.entropy.coding_order import STEPS, phases
from vaecodec.entropy.scales import LEVEL_BITS, SCALE_COUNT

ACTIVATION_BITS = 4
ACTIVATION_MAX = 127
WEIGHT_BITS = 10
INDEX_UNIT_BITS = 3
CONVS = ("z_conv", "z_up", "context", "hidden", "out")
SUM_BITS = {
    "z_bias": WEIGHT_BITS,
    "up_bias": WEIGHT_BITS + ACTIVATION_BITS,
    "hidden_bias": WEIGHT_BITS + ACTIVATION_BITS,
    "offset": WEIGHT_BITS + ACTIVATION_BITS,
}
_MAGNITUDES = 256  # |r| codes are tabulated up to here and constant beyond


def integer_parameters(
    parameters: dict[str, np.ndarray], magnitude_codes: np.ndarray
) -> dict[str, np.ndarray]:
    """Integers of a trained scale network, by name, from its float `parameters`."""
    integers = {"magnitude_codes": magnitude_codes.astype(np.int32)}
    for name in CONVS:
        weight = np.rint(parameters[f"{name}.weight"].astype(np.float64) * (1 << WEIGHT_BITS))
        integers[name] = np.clip(weight, -32768, 32767).astype(np.int16)
    for name, bits in SUM_BITS.items():
        values = parameters[f"{name}.values"].astype(np.float64) * (1 << bits)
        integers[name] = np.clip(np.rint(values), -(2**22), 2**22).astype(np.int32)
    return integers


def float_parameters(integers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Inverse of `integer_parameters`: what training starts from."""
    weights = {
        f"{name}.weight": integers[name].astype(np.float32) / (1 << WEIGHT_BITS) for name in CONVS
    }
    return weights | {
        f"{name}.values": (integers[name] / (1 << bits)).astype(np.float32)
        for name, bits in SUM_BITS.items()
    }


class IntegerScaleNetwork:
    """Scale indices from integers. `parameters` as from `integer_parameters`.

    Raises ValueError where shapes do not fit together or sums could leave float64's integers.
    """

    def __init__(self, parameters: dict[str, np.ndarray]):
        p = parameters
        scale, cz = p["z_conv"].shape[:2]
        m = p["out"].shape[0]
        anchors = p["offset"].shape[0]
        expected = {
            "z_conv": (scale, cz, 3, 3),
            "z_up": (16 * scale, scale, 1, 1),
            "context": (scale, m + 4, 3, 3),
            "hidden": (scale, scale, 1, 1),
            "out": (m, scale, 1, 1),
            "z_bias": (anchors, scale),
            "up_bias": (anchors, scale),
            "hidden_bias": (anchors, scale),
            "offset": (anchors, m),
            "magnitude_codes": (_MAGNITUDES,),
        }
        for name, shape in expected.items():
            if p[name].shape != shape:
                raise ValueError(f"scale network: {name} has shape {p[name].shape}, not {shape}")
        codes = p["magnitude_codes"]
        if codes.min() < 0 or codes.max() > ACTIVATION_MAX:
            raise ValueError("scale network: magnitude codes out of range")
        self.m = m
        self._tables = {name: p[name].astype(np.int64) for name in SUM_BITS}
        # Largest magnitude that any partial sum of each layer can reach, biases included.
        reach = {
            name: int(np.abs(p[name].astype(np.int64)).sum((1, 2, 3)).max()) * ACTIVATION_MAX
            for name in CONVS
        }
        bias = {name: int(np.abs(values).max()) for name, values in self._tables.items()}
        bound = max(
            reach["z_conv"] + bias["z_bias"],
            reach["z_up"] + bias["up_bias"] + reach["context"],
            reach["hidden"] + bias["hidden_bias"],
            reach["out"] + bias["offset"],
        ) + (1 << (WEIGHT_BITS + ACTIVATION_BITS))
        if bound >= 2**53:
            raise ValueError("scale network: weights too large to be exact")
        self.dtype = np.float32 if bound < 2**24 else np.float64
        self._weights = {name: _matrix(p[name]).astype(self.dtype) for name in CONVS}
        self._context = _group_matrices(self._weights.pop("context"), self.m)
        self._codes = codes.astype(self.dtype)

    @single_blas_thread
    def prepare(self, z: np.ndarray, level: int) -> np.ndarray:
        """Features of the hyper-latents: `z` `[hz, wz, cz]` integers to `[4*hz, 4*wz, scale]` sums.

        `level` is the integer of the file's header. Arrays are channels-last, as in
        interfaces.Transforms.
        """
        z = np.clip(z, -ACTIVATION_MAX, ACTIVATION_MAX).astype(self.dtype)
        h = _activate(
            self._conv("z_conv", z) + self._at_level("z_bias", level), WEIGHT_BITS - ACTIVATION_BITS
        )
        up = self._conv("z_up", h)
        rows, columns, channels = up.shape
        # Pixel shuffle by 4: channel = feature * 16 + 4 * row + column.
        up = up.reshape(rows, columns, channels // 16, 4, 4).transpose(0, 3, 1, 4, 2)
        result: np.ndarray = up.reshape(4 * rows, 4 * columns, channels // 16) + self._at_level(
            "up_bias", level
        )
        return result

    @single_blas_thread
    def add_context(self, sums: np.ndarray, residuals: np.ndarray, step: int) -> np.ndarray:
        """`sums` `[h, w, scale]`, from `prepare` and earlier steps, with what a step's residuals
        `[h, w, m/4]` (integers) tell.

        A convolution is a sum over what is known, so each step adds its own part. All positions of
        a phase know the same group, which is the only one that is multiplied.
        """
        height, width, count = residuals.shape
        codes = np.empty((height, width, count + 1), self.dtype)
        codes[:, :, :-1] = self._codes[np.minimum(np.abs(residuals), _MAGNITUDES - 1)]
        codes[:, :, -1] = 1 << ACTIVATION_BITS  # the plane that says what is known
        padded = np.zeros((height + 2, width + 2, sums.shape[2]), self.dtype)
        for group, (rows, columns) in enumerate(phases(step)):
            part = codes[rows, columns]
            told = part.reshape(-1, count + 1) @ self._context[group]
            told = told.reshape(*part.shape[:2], 9, sums.shape[2])
            for tap in range(9):
                up, left = 2 - tap // 3, 2 - tap % 3  # where a tap's product belongs
                target = padded[up : up + height, left : left + width]
                target[rows, columns] += told[:, :, tap]
        return sums + padded[1:-1, 1:-1]

    @single_blas_thread
    def indices(
        self, sums: np.ndarray, step: int, level: int, offsets: np.ndarray | int = 0
    ) -> np.ndarray:
        """Scale index 0..63 of the latents of a step, int64 `[h, w, m/4]`.

        `sums`: `[h, w, scale]` from `prepare`, cropped, and `add_context` of every earlier step;
        `offsets`: integers `[h, w, 1]` added to the indices.
        """
        h = _activate(sums, WEIGHT_BITS)
        h = _activate(self._conv("hidden", h) + self._at_level("hidden_bias", level), WEIGHT_BITS)
        count = self.m // STEPS
        weight, bias = self._weights["out"], self._at_level("offset", level)
        sums = np.empty((*h.shape[:2], count), self.dtype)
        for group, (rows, columns) in enumerate(phases(step)):
            channels = slice(group * count, (group + 1) * count)
            sums[rows, columns] = h[rows, columns] @ weight[:, channels] + bias[channels]
        shift = WEIGHT_BITS + ACTIVATION_BITS - INDEX_UNIT_BITS
        return _shift(sums, shift, SCALE_COUNT - 1, offsets).astype(np.int64)

    def _at_level(self, name: str, level: int) -> np.ndarray:
        """A level table's row at `level`, linear between anchors, in integers."""
        table = self._tables[name]
        low = min(level >> LEVEL_BITS, table.shape[0] - 2)
        part = level - (low << LEVEL_BITS)
        mixed = table[low] * ((1 << LEVEL_BITS) - part) + table[low + 1] * part
        result: np.ndarray = ((mixed + (1 << (LEVEL_BITS - 1))) >> LEVEL_BITS).astype(self.dtype)
        return result

    def _conv(self, name: str, x: np.ndarray) -> np.ndarray:
        """Zero-padded convolution of `[H, W, C]` by a matrix product."""
        weight = self._weights[name]
        height, width, channels = x.shape
        if weight.shape[0] == channels:
            return (x.reshape(-1, channels) @ weight).reshape(height, width, -1)
        assert weight.shape[0] == 9 * channels
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        sums = np.zeros((height * width, weight.shape[1]), self.dtype)
        for tap in range(9):
            row, column = divmod(tap, 3)
            shifted = padded[row : row + height, column : column + width].reshape(-1, channels)
            sums += shifted @ weight[tap * channels : (tap + 1) * channels]
        return sums.reshape(height, width, -1)


def _matrix(weight: np.ndarray) -> np.ndarray:
    """`[out, in, k, k]` to `[k * k * in, out]`, taps outermost."""
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0]))


def _group_matrices(weight: np.ndarray, m: int) -> list[np.ndarray]:
    """The context's `[9 * (m + 4), scale]` by group: `[m/4 + 1, 9 * scale]`, its plane last."""
    taps = weight.reshape(9, m + STEPS, -1)
    count = m // STEPS
    chosen = [[*range(group * count, (group + 1) * count), m + group] for group in range(STEPS)]
    return [
        np.ascontiguousarray(taps[:, channels].transpose(1, 0, 2).reshape(count + 1, -1))
        for channels in chosen
    ]


def _shift(sums: np.ndarray, bits: int, top: int, offsets: np.ndarray | int = 0) -> np.ndarray:
    """Divide by 2**bits, round half up, add `offsets`, clamp to 0..top; exact, as a power of two
    only moves the exponent."""
    half = 1 << (bits - 1)
    result: np.ndarray = np.clip(np.floor((sums + half) / (1 << bits)) + offsets, 0, top)
    return result


def _activate(sums: np.ndarray, bits: int) -> np.ndarray:
    return _shift(sums, bits, ACTIVATION_MAX)
