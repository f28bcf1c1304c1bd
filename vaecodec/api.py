"""vaecodec from Python: pictures to bytes and back, with a model that stays loaded.

import vaecodec

data = vaecodec.encode(image, quality=60)   # a PIL image or an array
image = vaecodec.decode(data)               # a PIL image with EXIF, ICC and XMP in .info

codec = vaecodec.Codec(device="cuda")       # the same with a device or a model of one's own
data = codec.encode(array, target_size=50_000)
tensor = codec.decode_tensor(data)          # on the codec's device, where `encode` takes it too
"""

import io
import math
import sys
import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from vaecodec.atomic_files import write_whole
from vaecodec.codec.canvas import Canvas
from vaecodec.codec.decoder import DecodeOptions, decode_picture
from vaecodec.codec.effort import DEFAULT_EFFORT
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.codec.quality import DEFAULT_QUALITY, level_of_quality, quality_of_level
from vaecodec.codec.targets import encode_to_target
from vaecodec.codec.tiling import Region
from vaecodec.errors import PictureError, UsageError
from vaecodec.format.container import MAX_PIXELS, describe, read_header
from vaecodec.inference.loading import ModelLoader
from vaecodec.inference.model import Model
from vaecodec.picture.picture import Picture
from vaecodec.picture.reader import picture_from_image, read_picture
from vaecodec.picture.writer import check_suffix, pillow_image, write_picture

if TYPE_CHECKING:
    from torch import Tensor


class Codec:
    """A loaded model, used for any number of pictures, from several threads if wanted.

    `model`: path of a weight file, None for the one that ships (and, in decoding, for whichever
    model a file names); `device`: auto, cpu, cuda or mps; `backend`: auto, onnx or torch. Raises
    ModelError and UsageError.
    """

    def __init__(
        self, model: Path | str | None = None, device: str = "auto", backend: str = "auto"
    ):
        self._loader = ModelLoader(model, device, backend)
        self._encoding_model = self._loader.load()

    def encode(
        self,
        image: "Image.Image | np.ndarray | Tensor | Picture",
        quality: float = DEFAULT_QUALITY,
        *,
        alpha_quality: float | None = None,
        target_size: float | None = None,
        target_psnr: float | None = None,
        target_ssimulacra2: float | None = None,
        effort: int = DEFAULT_EFFORT,
        timeout: float = math.inf,
        roi: Image.Image | np.ndarray | None = None,
        passphrase: str | bytes | None = None,
    ) -> bytes:
        """The bytes of a .vae file.

        `image`: a PIL image of any mode, or an array uint8 or uint16 of shape `[H, W]` (grey),
        `[H, W, 3]` (RGB) or `[H, W, 4]` (RGBA, uint8), or a torch tensor `[3, H, W]` or
        `[1, H, W]`, uint8 or float in 0..1, which stays on the device that the codec works on;
        `quality`: 0 to 100; `target_size` in bytes, `target_psnr` in dB or `target_ssimulacra2` (70
        is not annoying, 80 invisible side by side) in place of a quality; `effort`: 0 (fastest) to 9 (smallest), which takes at most about `timeout` seconds for
        refinement; `roi`: a mask of the picture's size, white where its quality matters most.
        Raises PictureError and UsageError.
        """
        if _is_tensor(image):
            # A quality is measured between arrays.
            picture = self._picture_of_tensor(
                image, as_array=bool(target_psnr or target_ssimulacra2)
            )
        else:
            picture = _as_picture(image)
        alpha_level = None if alpha_quality is None else level_of_quality(alpha_quality)
        level, key = level_of_quality(quality, effort), _as_bytes(passphrase)
        mask = None if roi is None else _as_picture(roi).pixels
        options = EncodeOptions(level, alpha_level, key, effort, timeout, roi=mask)
        kinds = {"size": target_size, "psnr": target_psnr, "ssimulacra2": target_ssimulacra2}
        targets = {kind: value for kind, value in kinds.items() if value is not None}
        if len(targets) > 1:
            raise UsageError("give one target only")
        for kind, value in targets.items():
            return encode_to_target(picture, self._encoding_model, options, kind, value)[0].data
        return encode_picture(picture, self._encoding_model, options)

    def decode_picture(self, data: bytes, options: DecodeOptions | None = None) -> Picture:
        """The picture of a .vae file as arrays. Raises FormatError and ModelError."""
        options = options or DecodeOptions()
        return decode_picture(data, self._model_of(data, options), options)

    def decode(
        self,
        data: bytes,
        *,
        region: tuple[int, int, int, int] | None = None,
        scale: int = 1,
        max_pixels: int = MAX_PIXELS,
        passphrase: str | bytes | None = None,
    ) -> Image.Image:
        """The PIL image of a .vae file; `region`: left, top, width, height in pixels; `scale`: 1,
        2, 4 or 8.

        Mode RGB, L, RGBA or LA; 16-bit grey as I;16, 16-bit colour reduced to 8 bits
        (`decode_picture` keeps them). EXIF, ICC profile and XMP are in `.info`.
        """
        options = _decode_options(region, scale, max_pixels, passphrase)
        return pillow_image(self.decode_picture(data, options))

    def decode_tensor(self, data: bytes, **options: Any) -> "Tensor":
        """The picture of a .vae file as a torch tensor `[C, H, W]` on the codec's device; options
        as for `decode`.

        uint8, or uint16 for a picture of 16 bits; C is 1 or 3, and one more with transparency. With
        a codec on torch the pixels never leave the device.
        """
        from vaecodec.codec.tensors import (  # torch is slow to import
            TensorCanvas,
            tensor_of_picture,
        )

        chosen = _decode_options(**options)
        model = self._model_of(data, chosen)
        on_torch = model.transforms.backend == "torch"
        canvas = partial(TensorCanvas, device=model.transforms.device) if on_torch else Canvas
        return tensor_of_picture(decode_picture(data, model, chosen, canvas))

    def encode_batch(
        self, images: "Iterable[Image.Image | np.ndarray | Tensor | Picture]", **options: Any
    ) -> list[bytes]:
        """The .vae files of several pictures, worked on a core each; options as for `encode`."""
        work = partial(self.encode, **options)
        return list(self._encoding_model.in_parallel(work, list(images)))

    def decode_batch(self, files: Iterable[bytes], **options: Any) -> list[Image.Image]:
        """The PIL images of several .vae files, worked on a core each; options as for `decode`."""
        work = partial(self.decode, **options)
        return list(self._encoding_model.in_parallel(work, list(files)))

    def encode_file(
        self, source: Path | str, target: Path | str, overwrite: bool = False, **options: Any
    ) -> int:
        """Encode a picture file to a .vae file, with the options of `encode`; returns its bytes."""
        data = self.encode(read_picture(Path(source), MAX_PIXELS), **options)
        return write_whole(Path(target), lambda file: file.write(data), overwrite)

    def decode_file(self, source: Path | str, target: Path | str, overwrite: bool = False) -> int:
        """Decode a .vae file to a picture file of the type of its suffix; returns its bytes."""
        target = Path(target)
        check_suffix(target.suffix)
        picture = self.decode_picture(Path(source).read_bytes())
        return write_whole(
            target, lambda file: write_picture(picture, file, target.suffix), overwrite
        )

    def _model_of(self, data: bytes, options: DecodeOptions) -> Model:
        return self._loader.load(read_header(io.BytesIO(data), options.max_pixels).model_id)

    def _picture_of_tensor(self, tensor: "Tensor", as_array: bool) -> Picture:
        from vaecodec.codec.tensors import picture_of_tensor

        transforms = self._encoding_model.transforms
        picture = picture_of_tensor(tensor, transforms.device)
        if transforms.backend == "torch" and not as_array:
            return picture
        return Picture(picture.pixels.cpu().numpy())


def info(source: Path | str | bytes) -> dict[str, Any]:
    """What a .vae file says of itself, after checking its checksums; see `vaecodec info --json`."""
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    facts = describe(io.BytesIO(data))
    return {**facts, "quality": round(quality_of_level(facts.pop("level")), 2)}


_default: Codec | None = None
_default_lock = threading.Lock()


def default_codec() -> Codec:
    """The codec behind `encode` and `decode`, loaded when first used."""
    global _default
    with _default_lock:
        if _default is None:
            _default = Codec()
        return _default


def encode(
    image: Image.Image | np.ndarray | Picture, quality: float = DEFAULT_QUALITY, **options: Any
) -> bytes:
    """The bytes of a .vae file of a picture; see `Codec.encode`."""
    return default_codec().encode(image, quality, **options)


def decode(data: bytes, **options: Any) -> Image.Image:
    """The PIL image of a .vae file; see `Codec.decode`."""
    return default_codec().decode(data, **options)


def encode_file(
    source: Path | str, target: Path | str, overwrite: bool = False, **options: Any
) -> int:
    """Encode a picture file; see `Codec.encode_file`."""
    return default_codec().encode_file(source, target, overwrite, **options)


def decode_file(source: Path | str, target: Path | str, overwrite: bool = False) -> int:
    """Decode to a picture file; see `Codec.decode_file`."""
    return default_codec().decode_file(source, target, overwrite)


def _as_picture(image: Image.Image | np.ndarray | Picture) -> Picture:
    if isinstance(image, Picture):
        return image
    if isinstance(image, Image.Image):
        return picture_from_image(image)
    array = np.asarray(image)
    planes = array.shape[2] if array.ndim == 3 else 1
    if (
        array.dtype not in (np.uint8, np.uint16)
        or array.ndim not in (2, 3)
        or planes not in (1, 3, 4)
        or 0 in array.shape
    ):
        raise PictureError(
            f"array {array.dtype} of shape {array.shape} is not uint8 or uint16"
            " [H, W] or [H, W, 1, 3 or 4]"
        )
    if planes == 4:
        if array.dtype != np.uint8:
            raise PictureError("arrays with transparency must be uint8")
        return Picture(np.ascontiguousarray(array[:, :, :3]), np.ascontiguousarray(array[:, :, 3]))
    return Picture(array.reshape(array.shape[:2]) if planes == 1 else array)


def _decode_options(
    region: tuple[int, int, int, int] | None = None,
    scale: int = 1,
    max_pixels: int = MAX_PIXELS,
    passphrase: str | bytes | None = None,
) -> DecodeOptions:
    part = None if region is None else Region(*region)
    return DecodeOptions(max_pixels, part, scale, passphrase=_as_bytes(passphrase))


def _is_tensor(image: object) -> bool:
    """Whether it is a torch tensor, told without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(image, torch.Tensor)


def _as_bytes(passphrase: str | bytes | None) -> bytes | None:
    return passphrase.encode("utf-8") if isinstance(passphrase, str) else passphrase
