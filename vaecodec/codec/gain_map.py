"""Where in a picture latents are quantised more finely or more coarsely than its level says.

The chunk "Gmap" holds an offset for each cell of 32x32 pixels, -MAX_OFFSET..MAX_OFFSET as a signed
byte, in row order, compressed with zlib. An offset of k multiplies the gain by STEP**k, and since
STEP is also the ratio of neighbouring scales, it moves every scale index by exactly k: the integer
part of the decoder stays in integers.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from vaecodec.entropy.scales import STEP
from vaecodec.errors import FormatError, UsageError
from vaecodec.format.container import GAIN_MAP_TYPE, Chunk, Header
from vaecodec.network.config import STRIDE_Y
from vaecodec.picture.picture import box_average

CELL = 32  # pixels
CELL_LATENTS = CELL // STRIDE_Y
MAX_OFFSET = 12
ROI_OFFSET = 7  # between the white and the black of a mask, 6.6 dB at high rates
# STEP**-k for k = -12..12 with 16 fraction bits, for integers that must agree everywhere.
INVERSE_STEPS = (
    238872,
    214466,
    192553,
    172880,
    155216,
    139357,
    125119,
    112335,
    100858,
    90553,
    81301,
    72994,
    65536,
    58840,
    52828,
    47431,
    42584,
    38234,
    34327,
    30820,
    27671,
    24844,
    22305,
    20026,
    17980,
)


@dataclass(frozen=True)
class GainMap:
    """`cells`: int8 `[ceil(H/32), ceil(W/32)]`."""

    cells: np.ndarray

    def offsets(self, rows: slice, columns: slice) -> np.ndarray:
        """Offset at each of these latent positions, int32 `[h, w, 1]`."""
        i = np.arange(rows.start, rows.stop) // CELL_LATENTS
        j = np.arange(columns.start, columns.stop) // CELL_LATENTS
        return self.cells[i[:, None], j[None, :], None].astype(np.int32)

    def pack(self) -> Chunk:
        return Chunk(GAIN_MAP_TYPE, zlib.compress(self.cells.tobytes(), 9))


def unpack_gain_map(chunk: Chunk, header: Header) -> GainMap:
    """The map of a file. Raises FormatError; unpacks no more than the header's size asks for."""
    shape = -(-header.height // CELL), -(-header.width // CELL)
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(chunk.payload, shape[0] * shape[1] + 1)
    except zlib.error as error:
        raise FormatError(f"its gain map is damaged ({error})") from None
    cells = np.frombuffer(content, np.int8)
    if not unpacker.eof or cells.size != shape[0] * shape[1]:
        raise FormatError("its gain map has another size than the picture")
    if np.abs(cells.astype(np.int32)).max() > MAX_OFFSET:
        raise FormatError("its gain map holds values that no encoder writes")
    return GainMap(cells.reshape(shape))


def gain_map_of_mask(mask: np.ndarray, height: int, width: int) -> GainMap:
    """The map that favours what is white in `mask`, uint8 or uint16 `[height, width]` or of
    channels.

    White keeps the quality asked for; black is ROI_OFFSET coarser, grey in between. Raises
    UsageError for a mask of another size.
    """
    if mask.shape[:2] != (height, width):
        raise UsageError(
            f"mask of {mask.shape[1]}x{mask.shape[0]} for a picture of {width}x{height};"
            " they must be equal"
        )
    grey = mask.reshape(height, width, -1).mean(axis=2, dtype=np.float32)
    white = box_average(grey, CELL) / np.iinfo(mask.dtype).max
    return GainMap(np.rint(ROI_OFFSET * (white - 1)).astype(np.int8))


def gain_factors(offsets: np.ndarray) -> np.ndarray:
    """What the gain is multiplied by, float32."""
    result: np.ndarray = (STEP ** offsets.astype(np.float64)).astype(np.float32)
    return result


def at_nominal_gain(residuals: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Residuals (int32 `[h, w, m]`) as they would be at offset 0, rounded; in integers only.

    The scale network has learned what residuals say about their neighbours at the level's own gain.
    """
    factors = np.array(INVERSE_STEPS, np.int64)[offsets + MAX_OFFSET]
    result: np.ndarray = ((residuals * factors + (1 << 15)) >> 16).astype(np.int32)
    return result
