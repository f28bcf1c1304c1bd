"""The integer scale network: which table each latent is coded with, bit-equal on every machine.

The reader of a file must choose the very tables that its writer chose, or everything after the
first difference is lost. So nothing here is ever rounded by floating-point hardware: all values are
integers times a power of two, which only moves the exponent. Products are of float32, in parts
whose every partial sum provably stays below 2**24 of those integers, and parts add up in float64
(2**53), so that addition and multiplication are exact in any order. They are plain BLAS; algorithms
that transform their input (Winograd, FFT, TF32) must not be used.

Number formats, in fraction bits: activations 4 (0..127), |r| codes 4 (0..127), z 0 (-127..127),
weights 10; so sums over z carry 10 and all others 14. Biases carry the bits of the sum they join.
An activation is clamp(floor((sum + half) / 2**10), 0, 127) (over z: 2**6); the scale index is
clamp(floor((sum + half) / 2**11), 0, 63): 14 bits less the 3 of the unit of 8 indices.

Here sums carry their factor 2**-10 (over z 2**-6, of indices 2**-11) in their weights and biases,
and half a unit in their biases, so that an activation is clamp(sum) rounded down.

`network.scale_network.ScaleNetwork` is the same network in training; `integer_parameters` converts
it.
"""

from functools import cached_property

import numpy as np

from vaecodec.cores import single_blas_thread
from vaecodec.entropy.coding_order import STEPS, groups_of_phases, matrices_around
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
# By how many bits the sums of a layer are shifted to give activations or indices.
SHIFTS = {
    "z_conv": WEIGHT_BITS - ACTIVATION_BITS,
    "z_up": WEIGHT_BITS,
    "context": WEIGHT_BITS,
    "hidden": WEIGHT_BITS,
    "out": WEIGHT_BITS + ACTIVATION_BITS - INDEX_UNIT_BITS,
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

    Raises ValueError where shapes do not fit together.
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
        self._parameters = p
        self._codes = codes.astype(np.float32)
        self._tables = {name: p[name].astype(np.int64) for name in SUM_BITS}
        self._z_conv, self._z_up = (
            ExactProduct(_matrix(p[name]), SHIFTS[name]) for name in ("z_conv", "z_up")
        )

    @cached_property
    def _context(self) -> list["ExactProduct"]:
        """Of each group."""
        matrices = matrices_around(self._parameters["context"])
        return [ExactProduct(matrix, SHIFTS["context"]) for matrix in matrices]

    @cached_property
    def _hidden(self) -> "ExactProduct":
        return ExactProduct(_matrix(self._parameters["hidden"]), SHIFTS["hidden"])

    @cached_property
    def _out(self) -> list["ExactProduct"]:
        """To each group."""
        by_group = np.split(_matrix(self._parameters["out"]), STEPS, axis=1)
        return [ExactProduct(matrix, SHIFTS["out"]) for matrix in by_group]

    @single_blas_thread
    def prepare(self, z: np.ndarray, level: int, size: tuple[int, int]) -> np.ndarray:
        """Features of the hyper-latents: `z` `[hz, wz, cz]` integers to sums
        `[4, ceil(h/2), ceil(w/2), scale]` of a slice of `size` (h, w), by phase of the positions.

        `level` is the integer of the file's header. Arrays are channels-last, as in
        interfaces.Transforms.
        """
        z = np.clip(z, -ACTIVATION_MAX, ACTIVATION_MAX).astype(np.float32)
        h = self._z_conv(_im2col(np.pad(z, ((1, 1), (1, 1), (0, 0)))))
        h = _activate(h + self.bias("z_bias", level, SHIFTS["z_conv"]))
        up = self._z_up(h)
        rows, columns, channels = up.shape
        # Pixel shuffle by 4: channel = feature * 16 + 4 * row + column.
        up = up.reshape(rows, columns, channels // 16, 2, 2, 2, 2).transpose(4, 6, 0, 3, 1, 5, 2)
        up = up.reshape(STEPS, 2 * rows, 2 * columns, channels // 16)
        up = up[:, : -(-size[0] // 2), : -(-size[1] // 2)]
        sums: np.ndarray = up + self.bias("up_bias", level, SHIFTS["context"])
        return sums

    @single_blas_thread
    def add_context(self, sums: np.ndarray, residuals: np.ndarray, step: int) -> None:
        """Add to `sums`, from `prepare` and earlier steps, what a step's residuals `[h, w, m/4]`
        (integers) tell.

        A convolution is a sum over what is known, so each step adds its own part.
        """
        height, width, count = residuals.shape
        rows, columns = sums.shape[1:3]
        codes = np.zeros((2 * rows + 2, 2 * columns + 2, count + 1), np.float32)
        inside = codes[1 : height + 1, 1 : width + 1]
        inside[:, :, :-1] = self._codes.take(np.abs(residuals), mode="clip")
        inside[:, :, -1] = 1 << ACTIVATION_BITS  # the plane that says what is known
        for phase, group in enumerate(groups_of_phases(step)):
            known = codes[phase // 2 :, phase % 2 :][: 2 * rows + 1, : 2 * columns + 1]
            sums[phase] += self._context[group](_im2col(known, 2))

    @single_blas_thread
    def indices(
        self,
        sums: np.ndarray,
        size: tuple[int, int],
        step: int,
        level: int,
        offsets: np.ndarray | None = None,
    ) -> np.ndarray:
        """Scale index 0..63 of the latents of a step, uint8 `[h, w, m/4]`.

        `sums`: from `prepare` and `add_context` of every earlier step; `offsets`: integers
        `[h, w, 1]` added to the indices.
        """
        h = self._hidden(_activate(sums))
        h = _activate(h + self.bias("hidden_bias", level, SHIFTS["hidden"]))
        bias = self.bias("offset", level, SHIFTS["out"]).reshape(STEPS, -1)
        indices = np.empty((*size, self.m // STEPS), np.uint8)
        for phase, group in enumerate(groups_of_phases(step)):
            of_phase = slice(phase // 2, None, 2), slice(phase % 2, None, 2)
            target = indices[of_phase]
            h_phase = h[phase, : target.shape[0], : target.shape[1]]
            values = self._out[group](h_phase) + bias[group]
            if offsets is not None:
                values += offsets[of_phase]
            # An unsigned integer is what remains of a number rounded down.
            np.clip(values, 0, SCALE_COUNT - 1, out=target, casting="unsafe")
        return indices

    def bias(self, name: str, level: int, shift: int) -> np.ndarray:
        """A level table's row at `level`, linear between anchors, in integers; with half a unit
        and the factor of the sum that it joins."""
        table = self._tables[name]
        low = min(level >> LEVEL_BITS, table.shape[0] - 2)
        part = level - (low << LEVEL_BITS)
        mixed = table[low] * ((1 << LEVEL_BITS) - part) + table[low + 1] * part
        integers = (mixed + (1 << (LEVEL_BITS - 1))) >> LEVEL_BITS
        result: np.ndarray = (integers + (1 << (shift - 1))) * 2.0**-shift
        return result


class ExactProduct:
    """`x @ matrix * 2**-shift` of x in integers of at most ACTIVATION_MAX, exact.

    `matrix`: `[N, M]` integers of 16 bits. Its rows are split into parts, seldom more than one,
    whose products no order of summation takes beyond float32's integers.
    """

    def __init__(self, matrix: np.ndarray, shift: int):
        count = 1
        while any(
            np.abs(part).sum(0, dtype=np.int64).max() * ACTIVATION_MAX >= 2**24
            for part in np.array_split(matrix.astype(np.int64), count)
        ):
            count += 1
        scaled = (matrix * 2.0**-shift).astype(np.float32)
        self._parts = [np.ascontiguousarray(part) for part in np.array_split(scaled, count)]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """`[.., N]` float32 to `[.., M]`, float64 where float32 does not hold it."""
        rows, start = x.reshape(-1, x.shape[-1]), len(self._parts[0])
        product: np.ndarray = rows[:, :start] @ self._parts[0]
        for part in self._parts[1:]:
            more = rows[:, start : start + len(part)] @ part
            product, start = np.add(product, more, dtype=np.float64), start + len(part)
        result: np.ndarray = product.reshape(*x.shape[:-1], product.shape[1])
        return result


def _im2col(padded: np.ndarray, stride: int = 1) -> np.ndarray:
    """The 3x3 around every `stride`-th position: `[h + 2, w + 2, C]` to `[.., .., 9 * C]`, taps
    outermost."""
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))
    around = around[::stride, ::stride].transpose(0, 1, 3, 4, 2)
    result: np.ndarray = around.reshape(*around.shape[:2], 9 * padded.shape[2])
    return result


def _matrix(weight: np.ndarray) -> np.ndarray:
    """`[out, in, k, k]` to `[k * k * in, out]`, taps outermost."""
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0]))


def _activate(sums: np.ndarray) -> np.ndarray:
    """Clamp and round down, to float32."""
    h: np.ndarray = np.clip(sums, 0, ACTIVATION_MAX).astype(np.float32)
    np.floor(h, out=h)
    return h
