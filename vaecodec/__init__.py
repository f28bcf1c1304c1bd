"""vaecodec: a learned image codec built on a convolutional variational autoencoder.

The names of `vaecodec.api` are found here; torch and Pillow are imported when one is first used.
"""

from typing import TYPE_CHECKING

from vaecodec.errors import (
    CorruptSymbolsError,
    FileAccessError,
    FormatError,
    MissingFileError,
    MissingModelError,
    ModelError,
    OutputExistsError,
    PassphraseError,
    PictureError,
    TargetError,
    UsageError,
    VaecodecError,
)
from vaecodec.version import __version__

if TYPE_CHECKING:
    from vaecodec.api import Codec, decode, decode_file, encode, encode_file, info
    from vaecodec.many import decode_many, encode_many, verify_many

__all__ = [
    "Codec",
    "CorruptSymbolsError",
    "FileAccessError",
    "FormatError",
    "MissingFileError",
    "MissingModelError",
    "ModelError",
    "OutputExistsError",
    "PassphraseError",
    "PictureError",
    "TargetError",
    "UsageError",
    "VaecodecError",
    "__version__",
    "decode",
    "decode_file",
    "decode_many",
    "encode",
    "encode_file",
    "encode_many",
    "info",
    "register",
    "verify_many",
]


def register() -> None:
    """Let Pillow open and save .vae files, as importing `vaecodec.pillow_plugin` does."""
    from vaecodec import pillow_plugin

    pillow_plugin.register()


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'vaecodec' has no attribute {name!r}")
    if name.endswith("_many"):
        from vaecodec import many

        return getattr(many, name)
    from vaecodec import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
