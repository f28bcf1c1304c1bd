"""Other image codecs, as vaecodec is compared with them: RGB pictures to real files and back.

    codec = REFERENCE_CODECS["avif"]
    if codec.available():
        data = codec.encode(image, 60)
        image = codec.decode(data)

Each works on one thread, as many as the machine runs at a time, so that times can be compared, and
stores the pixels alone: no profile, no EXIF. Qualities are the codec's own scale, higher is better.
"""

import importlib
import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from PIL import Image, features

from vaecodec.errors import UsageError, VaecodecError

_LIBRARIES = {
    "libjpeg_turbo": "libjpeg-turbo",
    "webp": "libwebp",
    "avif": "libavif",
    "jpg_2000": "OpenJPEG",
}


@dataclass(frozen=True)
class ReferenceCodec:
    """A codec behind Pillow. `ladder`: qualities from low to high that span its useful range.

    `options`: of Pillow's `save`, from a quality; `library`: Pillow's name of what does the work,
    or the package whose module `plugin` adds the codec to Pillow; `hint`: how to get it.
    """

    name: str
    title: str
    ladder: tuple[float, ...]
    options: Callable[[float], dict[str, Any]]
    library: str = ""
    plugin: str = ""
    hint: str = "install Pillow from its wheels, which hold this codec"

    def available(self) -> bool:
        return self.version() is not None

    @cache  # noqa: B019  # codecs are constants of this module
    def version(self) -> str | None:
        """What makes the files, with its version; None where it is missing."""
        if self.plugin:
            try:
                importlib.import_module(self.plugin)
            except ImportError:
                return None
            return f"{self.library} {metadata.version(self.library)}"
        found = features.version(self.library)
        return None if found is None else f"{_LIBRARIES[self.library]} {found}"

    def encode(self, image: Image.Image, quality: float) -> bytes:
        """The file of an RGB image. Raises VaecodecError where the codec cannot do it."""
        self._require()
        buffer = io.BytesIO()
        try:
            _bare(image).save(buffer, **self.options(quality))
        except (OSError, ValueError, RuntimeError) as error:
            raise VaecodecError(f"{self.title}: cannot encode: {error}") from None
        return buffer.getvalue()

    def decode(self, data: bytes) -> Image.Image:
        """The RGB image of a file that `encode` made."""
        self._require()
        return Image.open(io.BytesIO(data)).convert("RGB")

    def _require(self) -> None:
        """Loads the plug-in, too."""
        if not self.available():
            raise VaecodecError(f"{self.title}: not installed; {self.hint}")


@dataclass(frozen=True)
class ToolCodec:
    """A codec behind two commands; the same interface as `ReferenceCodec`.

    `encode_words`, `decode_words`: arguments, in which IN, OUT and QUALITY (0 to 100) or QUANTIZER
    (63 to 0, as older versions of avifenc have it) are replaced.
    """

    name: str
    title: str
    suffix: str
    ladder: tuple[float, ...]
    encode_words: tuple[str, ...]
    decode_words: tuple[str, ...]
    hint: str
    seconds_limit: float = 600

    def available(self) -> bool:
        return self.version() is not None

    @cache  # noqa: B019  # codecs are constants of this module
    def version(self) -> str | None:
        """The encoder with the version that it says; None where a command is missing."""
        if not all(shutil.which(words[0]) for words in (self.encode_words, self.decode_words)):
            return None
        done = subprocess.run([self.encode_words[0], "--version"], capture_output=True, text=True)
        said = (done.stdout or done.stderr).split("\n")[0].split(" [")[0].split(" (")[0]
        return f"{self.name} {said.split()[-1]}" if said else self.name

    def encode(self, image: Image.Image, quality: float) -> bytes:
        """The file of an RGB image. Raises VaecodecError where the command fails."""
        buffer = io.BytesIO()
        _bare(image).save(buffer, "PNG", compress_level=0)
        return self._run(self.encode_words, buffer.getvalue(), ".png", self.suffix, quality)

    def decode(self, data: bytes) -> Image.Image:
        """The RGB image of a file that `encode` made."""
        decoded = self._run(self.decode_words, data, self.suffix, ".png", 0)
        return Image.open(io.BytesIO(decoded)).convert("RGB")

    def _run(
        self, words: tuple[str, ...], data: bytes, before: str, after: str, quality: float
    ) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, f"in{before}"), Path(folder, f"out{after}")
            source.write_bytes(data)
            values = {
                "IN": str(source),
                "OUT": str(target),
                "QUALITY": f"{quality:g}",
                "QUANTIZER": str(round(63 * (100 - quality) / 100)),
            }
            command = [values.get(word, word) for word in words]
            try:
                subprocess.run(command, capture_output=True, check=True, timeout=self.seconds_limit)
                return target.read_bytes()
            except (OSError, subprocess.SubprocessError) as error:
                said = (getattr(error, "stderr", None) or b"").decode("utf-8", "replace")
                reason = said.strip().split("\n")[0] or error
                raise VaecodecError(f"{words[0]}: failed: {reason}") from None


@dataclass(frozen=True)
class JpegliCodec:
    """JPEG by Google's jpegli; the same interface as `ReferenceCodec`."""

    name: str = "jpegli"
    title: str = "JPEG (jpegli)"
    ladder: tuple[float, ...] = (5, 10, 20, 30, 40, 50, 60, 70, 80, 87, 93, 97)
    hint: str = "pip install 'vaecodec[eval]'"

    def available(self) -> bool:
        return self.version() is not None

    def version(self) -> str | None:
        """The package with its version; None where it is missing."""
        try:
            return f"pyjpegli {metadata.version('pyjpegli')}"
        except metadata.PackageNotFoundError:
            return None

    def encode(self, image: Image.Image, quality: float) -> bytes:
        """The file of an RGB image. Raises VaecodecError where the codec cannot do it."""
        try:
            import pyjpegli

            data: bytes = pyjpegli.encode(image.tobytes(), *image.size, int(quality))
        except (ImportError, ValueError, RuntimeError) as error:
            raise VaecodecError(f"{self.title}: cannot encode: {error}") from None
        return data

    def decode(self, data: bytes) -> Image.Image:
        """The RGB image of a file that `encode` made, by Pillow, as its readers see it."""
        return Image.open(io.BytesIO(data)).convert("RGB")


AnyReferenceCodec = ReferenceCodec | JpegliCodec | ToolCodec


def _bare(image: Image.Image) -> Image.Image:
    """The pixels alone; formats would store what else is known of the image."""
    return Image.frombytes("RGB", image.size, image.tobytes())


def _jpeg(quality: float) -> dict[str, Any]:
    return {"format": "JPEG", "quality": int(quality), "optimize": True, "subsampling": "4:2:0"}


def _webp(quality: float) -> dict[str, Any]:
    return {"format": "WEBP", "quality": quality, "method": 6}


def _avif(subsampling: str, tune: str) -> Callable[[float], dict[str, Any]]:
    # What libavif aims at by default (since 1.3: tune=iq) is said, so that it stays so.
    options = {"subsampling": subsampling, "speed": 4, "max_threads": 1, "advanced": {"tune": tune}}
    return lambda quality: {"format": "AVIF", "quality": int(quality), **options}


def _jxl(quality: float) -> dict[str, Any]:
    # Pixels of a picture that came from a JPEG file are coded anew, not its coefficients.
    return {"format": "JXL", "quality": quality, "num_threads": 0, "lossless_jpeg": False}


def _jpeg2000(quality: float) -> dict[str, Any]:
    # Without `mct` Pillow codes RGB as three grey pictures, in twice the bytes.
    options = {"quality_mode": "dB", "quality_layers": [quality], "irreversible": True, "mct": 1}
    return {"format": "JPEG2000", "no_jp2": True, **options}


_AVIFENC = ("-y", "444", "-s", "4", "-j", "1")

REFERENCE_CODECS: dict[str, AnyReferenceCodec] = {
    codec.name: codec
    for codec in (
        ReferenceCodec(
            "jpeg",
            "JPEG (Pillow, optimised, 4:2:0)",
            (5, 10, 20, 30, 40, 50, 60, 70, 80, 87, 93, 97),
            _jpeg,
            "libjpeg_turbo",
        ),
        JpegliCodec(),
        ReferenceCodec(
            "webp",
            "WebP (Pillow, method 6)",
            (1, 10, 25, 40, 55, 70, 80, 88, 94, 99),
            _webp,
            "webp",
        ),
        ReferenceCodec(
            "avif",
            "AVIF (Pillow, 4:4:4, speed 4, tune=iq)",
            (10, 22, 34, 45, 56, 66, 75, 83, 90, 95),
            _avif("4:4:4", "iq"),
            "avif",
        ),
        ReferenceCodec(
            "avif-420",
            "AVIF (Pillow, 4:2:0, speed 4, tune=iq)",
            (10, 22, 34, 45, 56, 66, 75, 83, 90, 95),
            _avif("4:2:0", "iq"),
            "avif",
        ),
        ReferenceCodec(
            "avif-psnr",
            "AVIF (Pillow, 4:4:4, speed 4, tune=psnr)",
            (10, 22, 34, 45, 56, 66, 75, 83, 90, 95),
            _avif("4:4:4", "psnr"),
            "avif",
        ),
        ReferenceCodec(
            "jxl",
            "JPEG XL (libjxl, effort 7)",
            (5, 15, 30, 45, 60, 70, 80, 87, 92, 95, 97),
            _jxl,
            "pillow-jxl-plugin",
            "pillow_jxl",
            hint="pip install '.[eval]'",
        ),
        ReferenceCodec(
            "jpeg2000",
            "JPEG 2000 (OpenJPEG, 9/7)",
            (26, 28, 30, 32, 34, 36, 38, 40, 42, 44),
            _jpeg2000,
            "jpg_2000",
        ),
        ToolCodec(
            "cjxl",
            "JPEG XL (cjxl, effort 7)",
            ".jxl",
            (5, 15, 30, 45, 60, 70, 80, 87, 92, 95, 97),
            ("cjxl", "IN", "OUT", "-q", "QUALITY", "-e", "7", "--num_threads=0"),
            ("djxl", "IN", "OUT", "--num_threads=0"),
            "install libjxl's tools (Debian: libjxl-tools)",
        ),
        ToolCodec(
            "avifenc",
            "AVIF (avifenc, 4:4:4, speed 4)",
            ".avif",
            (10, 22, 34, 45, 56, 66, 75, 83, 90, 95),
            ("avifenc", "--min", "QUANTIZER", "--max", "QUANTIZER", *_AVIFENC, "IN", "OUT"),
            ("avifdec", "-j", "1", "IN", "OUT"),
            "install libavif's tools (Debian: libavif-bin)",
        ),
    )
}


def named_in(text: str) -> list[str]:
    """The names in a list as people write it, avif,jxl, each once."""
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def reference_codec(name: str, option: str) -> AnyReferenceCodec:
    """The codec of a name that was given as `option`. Raises UsageError where there is none, and
    where it is not installed."""
    codec = REFERENCE_CODECS.get(name)
    if codec is None:
        raise UsageError(f"{option} {name}: unknown; there are {', '.join(REFERENCE_CODECS)}")
    if not codec.available():
        raise UsageError(f"{option} {name}: not installed; {codec.hint}")
    return codec
