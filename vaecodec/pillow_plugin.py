"""Pillow opens and saves .vae files after `import vaecodec.pillow_plugin`.

import vaecodec.pillow_plugin
image = Image.open("photo.vae")           # size and mode are known, the pixels decoded when used
image.save("copy.vae", quality=60)
"""

from typing import BinaryIO

from PIL import Image, ImageFile

from vaecodec.api import default_codec, info
from vaecodec.errors import FormatError, VaecodecError
from vaecodec.format.container import MAGIC, read_header

_MODES = {"RGB": "RGB", "grey": "L", "RGB16": "RGB", "grey16": "I;16"}
_WITH_ALPHA = {"RGB": "RGBA", "L": "LA", "I;16": "LA"}


class VaeImageFile(ImageFile.ImageFile):
    """A .vae file as a Pillow image."""

    format = "VAE"
    format_description = "vaecodec learned image"

    def _open(self) -> None:
        try:
            header = read_header(self.fp)
            self.fp.seek(0)
            self._data = self.fp.read()
            facts = info(self._data)
        except FormatError as error:
            raise SyntaxError(str(error)) from None
        self._size = header.width, header.height
        mode = _MODES[header.mode]
        self._mode = _WITH_ALPHA[mode] if "alpha" in facts["parts"] else mode
        self.tile = []

    def load(self):
        """Decode. Raises OSError where the file is damaged or its model is not here."""
        if self._data is not None:
            try:
                decoded = default_codec().decode(self._data)
            except VaecodecError as error:
                raise OSError(str(error)) from None
            self._data = None
            self.im = decoded.im
            self._mode = decoded.mode
            self.info.update(decoded.info)
        return super().load()


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _save(image: Image.Image, file: BinaryIO, filename: str | bytes) -> None:
    names = ("quality", "alpha_quality", "lossless", "target_size", "target_psnr", "passphrase")
    options = {name: value for name, value in image.encoderinfo.items() if name in names}
    copy = image.copy()
    copy.info = {**image.info}
    for name in ("exif", "icc_profile", "xmp"):
        if name in image.encoderinfo:
            value = image.encoderinfo[name]
            copy.info[name] = value.tobytes() if isinstance(value, Image.Exif) else value
    try:
        file.write(default_codec().encode(copy, **options))
    except VaecodecError as error:
        raise OSError(str(error)) from None


Image.register_open(VaeImageFile.format, VaeImageFile, _accept)
Image.register_save(VaeImageFile.format, _save)
Image.register_extension(VaeImageFile.format, ".vae")
Image.register_mime(VaeImageFile.format, "image/x-vaecodec")
