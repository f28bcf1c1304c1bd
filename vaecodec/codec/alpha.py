"""Transparency: packed beside the picture, and made free where nothing can be seen.

Payload of the chunk "Alph": one byte for the coder, then its data: 0 PNG, 1 lossless WebP, both of
an 8-bit grey picture of the same size; 2 a whole .vae file of mode grey (lossy); 3 nothing, as the
picture is lossless and its stream holds the transparency.
"""

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from vaecodec.codec.lossless import WEBP_MAX_SIDE, check_webp_size, guarded
from vaecodec.errors import FormatError
from vaecodec.picture.picture import Picture

PNG, WEBP, VAE, WITH_PICTURE = range(4)
PACKED_WITH_PICTURE = bytes([WITH_PICTURE])
_WEBP_HEAD_BYTES = 20  # RIFF, its length, WEBP, VP8L and its length
_FORMATS = {PNG: "PNG", WEBP: "WEBP"}


def pack_lossless(alpha: np.ndarray) -> bytes:
    """The smaller of PNG and lossless WebP of `alpha` (uint8 `[H, W]`)."""
    candidates = [bytes([PNG]) + _save(alpha, "PNG", optimize=True)]
    if max(alpha.shape) <= WEBP_MAX_SIDE:
        candidates.append(
            bytes([WEBP]) + _save(alpha, "WEBP", lossless=True, quality=100, method=6)
        )
    return min(candidates, key=len)


def pack_lossy(vae_file: bytes) -> bytes:
    """Payload of an alpha plane that was encoded as a grey .vae file."""
    return bytes([VAE]) + vae_file


def unpack_lossless(payload: bytes, height: int, width: int) -> np.ndarray | None:
    """Alpha uint8 `[height, width]`, or None where the payload holds a .vae file. Raises
    FormatError."""
    if not payload or payload[0] > WITH_PICTURE:
        raise FormatError(
            "its transparency is coded in a way unknown here; a newer vaecodec may read it"
        )
    if payload[0] == WITH_PICTURE:
        raise FormatError("its transparency is said to be where it is not; get another copy")
    if payload[0] == VAE:
        return None
    coder, data = payload[0], payload[1:]
    if coder == WEBP:
        check_webp_size(data[_WEBP_HEAD_BYTES:], height, width)

    def decode() -> np.ndarray:
        with Image.open(io.BytesIO(data), formats=[_FORMATS[coder]]) as image:
            if image.size != (width, height):
                raise FormatError("its transparency has another size than the picture")
            return np.asarray(image.convert("L"))

    return guarded(decode, "its transparency")


def blacken_transparent(picture: Picture) -> Picture:
    """The picture, black where it is fully transparent, which costs a lossless stream least."""
    if picture.alpha is None:
        return picture
    visible = picture.alpha > 0
    visible = visible.reshape(*visible.shape, *[1] * (picture.pixels.ndim - 2))
    return replace(
        picture, pixels=np.where(visible, picture.pixels, 0).astype(picture.pixels.dtype)
    )


def fill_transparent(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """`pixels` with what is fully transparent replaced by a smooth continuation of the rest.

    Push-pull: averages of visible pixels at ever coarser scales fill what finer scales leave open,
    so that hidden pixels cost next to no bits.
    """
    visible = alpha > 0
    if visible.all() or not visible.any():
        return pixels if visible.any() else np.full_like(pixels, np.iinfo(pixels.dtype).max // 2)
    colours = pixels.reshape(*pixels.shape[:2], -1).astype(np.float32)
    filled = _push_pull(colours * visible[:, :, None], visible.astype(np.float32))
    filled = np.rint(filled).astype(pixels.dtype).reshape(pixels.shape)
    mask = visible.reshape(*visible.shape, *[1] * (pixels.ndim - 2))
    return np.where(mask, pixels, filled)


def _push_pull(weighted: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Colours `[H, W, C]` for every position, from `weighted` sums and their `weight` `[H, W]`."""
    known = weight > 0
    average = weighted / np.maximum(weight, 1e-6)[:, :, None]
    if known.all() or max(weight.shape) == 1:
        result: np.ndarray = average
        return result
    coarse = _push_pull(_halve(weighted), _halve(weight[:, :, None])[:, :, 0])
    upsampled = coarse.repeat(2, axis=0).repeat(2, axis=1)[: weight.shape[0], : weight.shape[1]]
    return np.where(known[:, :, None], average, upsampled)


def _halve(array: np.ndarray) -> np.ndarray:
    height, width, channels = array.shape
    padded = np.pad(array, ((0, height % 2), (0, width % 2), (0, 0)))
    result: np.ndarray = padded.reshape(-(-height // 2), 2, -(-width // 2), 2, channels).sum((1, 3))
    return result


def _save(alpha: np.ndarray, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(alpha).save(buffer, file_format, **options)
    return buffer.getvalue()
