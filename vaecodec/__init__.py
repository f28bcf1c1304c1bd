"""vaecodec: a learned image codec built on a convolutional variational autoencoder.

The names of `vaecodec.api` are found here; torch and Pillow are imported when one is first used.
"""

from typing import TYPE_CHECKING

from vaecodec.version import __version__ as __version__

__all__ = ["Codec", "decode", "decode_file", "encode", "encode_file", "info", "load_model"]

if TYPE_CHECKING:
    from vaecodec.api import Codec, decode, decode_file, encode, encode_file, info, load_model


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'vaecodec' has no attribute {name!r}")
    from vaecodec import api

    return getattr(api, name)
