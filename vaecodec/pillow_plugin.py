"""Pillow opens and saves .vae files after `vaecodec.register()`, or after importing this module.

image = Image.open("photo.vae")           # size, mode and metadata; pixels are decoded when used
image.save("copy.vae", quality=75)        # and whatever else vaecodec.encode takes
"""

import io
from typing import IO, Any

from PIL import Image, ImageFile

from vaecodec.api import EncodeParameters, default_codec
from vaecodec.codec.decoder import SCALES
from vaecodec.errors import FormatError, VaecodecError
from vaecodec.format.container import (
    ALPHA_TYPE,
    MAGIC,
    is_encrypted,
    read_chunks,
    read_header,
)
from vaecodec.format.metadata import read_metadata
from vaecodec.picture.writer import PILLOW_INFO, pillow_info

ENOUGH = 0.95  # of the size asked for, which is twice what `thumbnail` will make of it
_MODES = {"RGB": "RGB", "grey": "L", "RGB16": "RGB", "grey16": "I;16"}
_WITH_ALPHA = {"RGB": "RGBA", "L": "LA", "I;16": "LA"}


class VaeImageFile(ImageFile.ImageFile):
    """A .vae file as a Pillow image."""

    format = "VAE"
    format_description = "vaecodec learned image"

    def _open(self) -> None:
        """Find size, mode and metadata, after checking all checksums of the file.

        Of an encrypted file metadata are not to be had. Raises OSError where it is damaged, which
        Pillow hands on; what is a SyntaxError here is for Pillow no image at all.
        """
        assert self.fp is not None
        self._data: bytes | None = self.fp.read()
        file = io.BytesIO(self._data)
        try:
            header = read_header(file)
            sealed = is_encrypted(file)
            chunks = [chunk for _, chunk in read_chunks(file, header)]
            metadata = {} if sealed else read_metadata(chunks)
        except FormatError as error:
            raise OSError(f"damaged .vae file: {error}") from None
        self._size = header.width, header.height
        mode = _MODES[header.mode]
        has_alpha = any(chunk.type == ALPHA_TYPE for chunk in chunks)
        self._mode = _WITH_ALPHA[mode] if has_alpha else mode
        self.info.update(pillow_info(metadata))
        self.tile = []
        self._scale = 1

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Decode at 1/2, 1/4 or 1/8 of both sides, the smallest that reaches a side of the box
        `size`, nearly; `thumbnail` asks for it. Modes stay as they are. None where it is too
        late."""
        if size is None or self._data is None or self._scale > 1:
            return None
        sides = self._size
        for scale in SCALES:
            if any(have / scale >= ENOUGH * want for have, want in zip(sides, size, strict=True)):
                self._scale = scale
        self._size = -(-sides[0] // self._scale), -(-sides[1] // self._scale)
        return self.mode, (0, 0, sides[0] / self._scale, sides[1] / self._scale)

    def load(self) -> Any:
        """Decode. Raises OSError where the file is damaged or its model is not here."""
        if self._data is not None:
            try:
                decoded = default_codec().decode(self._data, scale=self._scale)
            except VaecodecError as error:
                raise OSError(str(error)) from None
            self._data = None
            self.im = decoded.im
            self._mode = decoded.mode
            self.info.update(decoded.info)
        return super().load()


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Write an image with the parameters of `vaecodec.encode` and Pillow's exif, icc_profile and
    xmp."""
    given = image.encoderinfo
    copy = image.copy()
    copy.info = {**image.info}
    for name in PILLOW_INFO.values():
        if name in given:
            value = given[name]
            copy.info[name] = value.tobytes() if isinstance(value, Image.Exif) else value
    parameters = {k: value for k, value in given.items() if k in EncodeParameters.__annotations__}
    file.write(default_codec().encode(copy, **parameters))


def register() -> None:
    """Make .vae one of Pillow's formats."""
    Image.register_open(VaeImageFile.format, VaeImageFile, _accept)
    Image.register_save(VaeImageFile.format, _save)
    Image.register_extension(VaeImageFile.format, ".vae")
    Image.register_mime(VaeImageFile.format, "image/x-vaecodec")


register()
