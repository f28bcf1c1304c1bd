"""vaecodec from Python: pictures to bytes and back, with a model that stays loaded.

import vaecodec

data = vaecodec.encode(image, quality=75)   # a PIL image or an array
image = vaecodec.decode(data)               # a PIL image with EXIF, ICC and XMP in .info

codec = vaecodec.Codec(device="cuda")       # the same with a device or a model of one's own
data = codec.encode(array, target_size=50_000)
tensor = codec.decode_tensor(data)          # on the codec's device, where `encode` takes it too
"""

import inspect
import math
import threading
from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, BinaryIO, Concatenate, ParamSpec, TypedDict, TypeVar

import numpy as np
from PIL import Image

from vaecodec.arguments import (
    FilePath,
    PictureLike,
    VaeSource,
    as_passphrase,
    as_picture,
    as_region,
    is_tensor,
    kinds_to_strip,
    opened,
)
from vaecodec.atomic_files import write_whole
from vaecodec.codec.canvas import Canvas
from vaecodec.codec.decoder import DecodeOptions, decode_picture
from vaecodec.codec.effort import DEFAULT_EFFORT
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.codec.quality import quality_of_file, scale_of
from vaecodec.codec.targets import check_choices, meet_target, one_target
from vaecodec.format.container import MAX_PIXELS, read_header
from vaecodec.format.description import describe
from vaecodec.inference.loading import ModelLoader
from vaecodec.inference.model import Model
from vaecodec.picture.picture import Picture
from vaecodec.picture.reader import read_picture
from vaecodec.picture.writer import check_suffix, pillow_image, write_picture
from vaecodec.places import place

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Unpack

Progress = Callable[[float], object]  # called with the share of the work that is done, 0..1


class EncodeParameters(TypedDict, total=False):
    """The named parameters of `Codec.encode`, where others take them, too."""

    quality: float | None
    alpha_quality: float | None
    target_size: float | None
    target_bpp: float | None
    target_psnr: float | None
    target_ms_ssim: float | None
    target_ssimulacra2: float | None
    best_effort: bool
    effort: int
    timeout: float
    roi: Image.Image | np.ndarray | None
    lossless: bool
    strip: str | Iterable[str]
    passphrase: str | bytes | None
    progress: Progress | None


class DecodeParameters(TypedDict, total=False):
    """The named parameters of `Codec.decode`, where others take them, too."""

    region: tuple[int, int, int, int] | None
    scale: int
    max_pixels: int
    passphrase: str | bytes | None
    progress: Progress | None


class Codec:
    """A loaded model, used for any number of pictures, from several threads if wanted.

    `model`: path of a weight file, or "visual" or "psnr", which ship; None for the first of these
    (and, in decoding, for whichever model a file names); `device`: auto, cpu, cuda or mps;
    `backend`: auto, onnx or torch. Raises ModelError and UsageError.
    """

    def __init__(self, model: FilePath | None = None, device: str = "auto", backend: str = "auto"):
        self._loader = ModelLoader(None if model is None else place(model), device, backend)
        self._encoding_model = self._loader.load()

    def encode(
        self,
        image: PictureLike,
        quality: float | None = None,
        *,
        alpha_quality: float | None = None,
        target_size: float | None = None,
        target_bpp: float | None = None,
        target_psnr: float | None = None,
        target_ms_ssim: float | None = None,
        target_ssimulacra2: float | None = None,
        best_effort: bool = False,
        effort: int = DEFAULT_EFFORT,
        timeout: float = math.inf,
        roi: Image.Image | np.ndarray | None = None,
        lossless: bool = False,
        strip: str | Iterable[str] = (),
        passphrase: str | bytes | None = None,
        progress: Progress | None = None,
    ) -> bytes:
        """The bytes of a .vae file.

        `image`: a PIL image of any mode, or an array uint8, uint16 or float in 0..1 of shape
        `[H, W]` (grey), `[H, W, 3]` (RGB) or `[H, W, 4]` (RGBA, not uint16), or a torch tensor
        `[3, H, W]` or `[1, H, W]`, uint8 or float in 0..1, which stays on the codec's device;
        floats are coded as 8 bits. `quality`: 0 to 100, with the visual model the SSIMULACRA 2
        score to expect of a photograph; 75 (with the psnr model 60) where neither it nor a target
        is given. `alpha_quality`: of transparency, None for lossless. `target_size` in bytes,
        `target_bpp` in bits per pixel, `target_psnr` in dB, `target_ms_ssim` in 0..1,
        `target_ssimulacra2` up to 100 (80 is invisible side by side): one of them in place of a
        quality, of which `best_effort` takes the nearest that can be had. `effort`: 0 (fastest) to
        9 (smallest), which takes at most about `timeout` seconds for refinement. `roi`: a mask of
        the picture's size, white where its quality matters most. `strip`: kinds of metadata to
        leave out, "exif", "icc", "xmp" or "all". `lossless`: every sample as it is, without
        quality, target or `roi`. `passphrase`: encrypts. `progress`: called in this thread with the
        share of the work that is done, 0..1. Raises PictureError, TargetError and UsageError.
        """
        target = one_target(
            target_size, target_bpp, target_psnr, target_ms_ssim, target_ssimulacra2
        )
        check_choices(quality, target, lossless, timeout)
        picture = self._picture(image, target).without_metadata(kinds_to_strip(strip))
        scale = scale_of(self._encoding_model)
        options = EncodeOptions(
            scale.level(quality, effort),
            None if alpha_quality is None else scale.level(alpha_quality),
            as_passphrase(passphrase),
            effort,
            timeout,
            progress or _not_reported,
            None if roi is None else as_picture(roi).pixels,
            lossless,
        )
        if target is None:
            return encode_picture(picture, self._encoding_model, options)
        return meet_target(picture, self._encoding_model, options, target, best_effort)[0]

    def decode(
        self,
        source: VaeSource,
        *,
        region: tuple[int, int, int, int] | None = None,
        scale: int = 1,
        max_pixels: int = MAX_PIXELS,
        passphrase: str | bytes | None = None,
        progress: Progress | None = None,
    ) -> Image.Image:
        """The PIL image of a .vae file.

        `source`: its bytes (or a bytearray or memoryview), its path, or a file that is open for
        reading; `region`: left, top, width, height in pixels; `scale`: 1, 2, 4 or 8, the divisor of
        both sides; `max_pixels`: larger pictures are refused; `passphrase`: of an encrypted file;
        `progress`: as for `encode`. Mode RGB, L, RGBA or LA; 16-bit grey as I;16, 16-bit colour
        reduced to 8 bits (`decode_picture` keeps them). EXIF, ICC profile and XMP are in `.info`.
        Raises FormatError, ModelError, PassphraseError, FileAccessError and UsageError.
        """
        options = _decode_options(region, scale, max_pixels, passphrase, progress)
        return pillow_image(self.decode_picture(source, options))

    def decode_picture(self, source: VaeSource, options: DecodeOptions | None = None) -> Picture:
        """The picture of a .vae file as arrays, of 16 bits where it has them. Raises as `decode`
        does."""
        chosen = options or DecodeOptions()
        with opened(source) as file:
            return decode_picture(file, self._model_of(file, chosen), chosen)

    def decode_tensor(
        self, source: VaeSource, **parameters: "Unpack[DecodeParameters]"
    ) -> "Tensor":
        """The picture of a .vae file as a torch tensor `[C, H, W]` on the codec's device;
        parameters as of `decode`.

        uint8, or uint16 for a picture of 16 bits; C is 1 or 3, and one more with transparency. With
        a codec on torch the pixels never leave the device.
        """
        from vaecodec.codec.tensors import (  # torch is slow to import
            TensorCanvas,
            tensor_of_picture,
        )

        options = _decode_options(**parameters)
        with opened(source) as file:
            model = self._model_of(file, options)
            transforms = model.transforms
            on_torch = transforms.backend == "torch"
            canvas = partial(TensorCanvas, device=str(transforms.device)) if on_torch else Canvas
            return tensor_of_picture(decode_picture(file, model, options, canvas))

    def encode_batch(
        self, images: Iterable[PictureLike], **parameters: "Unpack[EncodeParameters]"
    ) -> list[bytes]:
        """The .vae files of several pictures, worked on a core each; parameters as of `encode`."""
        work = partial(self.encode, **parameters)
        return list(self._encoding_model.in_parallel(work, list(images)))

    def decode_batch(
        self, sources: Iterable[VaeSource], **parameters: "Unpack[DecodeParameters]"
    ) -> list[Image.Image]:
        """The PIL images of several .vae files, worked on a core each; parameters as of
        `decode`."""
        work = partial(self.decode, **parameters)
        return list(self._encoding_model.in_parallel(work, list(sources)))

    def encode_file(
        self,
        source: FilePath,
        target: FilePath,
        overwrite: bool = False,
        **parameters: "Unpack[EncodeParameters]",
    ) -> int:
        """Encode a picture file to a .vae file, with the parameters of `encode`; returns its bytes.

        Raises MissingFileError, OutputExistsError and FileAccessError, too.
        """
        data = self.encode(read_picture(place(source), MAX_PIXELS), **parameters)
        return write_whole(place(target), lambda file: file.write(data), overwrite)

    def decode_file(
        self,
        source: FilePath,
        target: FilePath,
        overwrite: bool = False,
        **parameters: "Unpack[DecodeParameters]",
    ) -> int:
        """Decode a .vae file to a picture file of the type of its suffix, with the parameters of
        `decode`; returns its bytes. Raises OutputExistsError, too."""
        written = place(target)
        suffix = written.suffix
        check_suffix(suffix)
        picture = self.decode_picture(source, _decode_options(**parameters))
        return write_whole(written, lambda file: write_picture(picture, file, suffix), overwrite)

    def _model_of(self, file: BinaryIO, options: DecodeOptions) -> Model:
        """The model that a file at its start asks for; it is at its start again afterwards."""
        header = read_header(file, options.max_pixels)
        file.seek(0)
        return self._loader.load(header.model_id)

    def _picture(self, image: PictureLike, target: tuple[str, float] | None) -> Picture:
        if not is_tensor(image):
            return as_picture(image)
        from vaecodec.codec.tensors import picture_of_tensor

        transforms = self._encoding_model.transforms
        picture = picture_of_tensor(image, str(transforms.device))
        # A quality is measured between arrays.
        if transforms.backend == "torch" and (target is None or target[0] in ("size", "bpp")):
            return picture
        return Picture(picture.pixels.cpu().numpy())


def _decode_options(
    region: tuple[int, int, int, int] | None = None,
    scale: int = 1,
    max_pixels: int = MAX_PIXELS,
    passphrase: str | bytes | None = None,
    progress: Progress | None = None,
) -> DecodeOptions:
    return DecodeOptions(
        max_pixels,
        as_region(region),
        scale,
        passphrase=as_passphrase(passphrase),
        progress=progress or _not_reported,
    )


def _not_reported(share: float) -> None:
    """Progress that nobody asked for."""


def info(source: VaeSource) -> dict[str, Any]:
    """What a .vae file says of itself, after checking its checksums; what `vaecodec info --json`
    prints. Raises FormatError."""
    with opened(source) as file:
        facts = describe(file)
    quality = quality_of_file(bytes.fromhex(facts["model"]), facts["level"])
    return {**facts, "quality": quality}


_default: Codec | None = None
_default_lock = threading.Lock()


def default_codec() -> Codec:
    """The codec behind the functions below, loaded when first used."""
    global _default
    with _default_lock:
        if _default is None:
            _default = Codec()
        return _default


P = ParamSpec("P")
Result = TypeVar("Result")


def _of_default_codec(method: Callable[Concatenate[Codec, P], Result]) -> Callable[P, Result]:
    """A method as a function, with its parameters but the first."""

    @wraps(method)
    def function(*arguments: P.args, **parameters: P.kwargs) -> Result:
        return method(default_codec(), *arguments, **parameters)

    signature = inspect.signature(method)
    others = list(signature.parameters.values())[1:]
    function.__dict__["__signature__"] = signature.replace(parameters=others)
    function.__module__ = __name__
    return function


encode = _of_default_codec(Codec.encode)
decode = _of_default_codec(Codec.decode)
encode_file = _of_default_codec(Codec.encode_file)
decode_file = _of_default_codec(Codec.decode_file)
