"""Encrypted files: every chunk sealed with AES-256-GCM under a key that scrypt derives from a
passphrase.

The chunk "Cryp" comes first and is required, so that a reader without support refuses the file:

    offset  size  field
         0     1  key derivation: 1 scrypt
         1     1  log2 of scrypt's N (r = 8, p = 1)
         2    16  salt
        18    12  nonce
        30     n  sealed: the types of the chunks between this one and the first slice

Every other chunk keeps its type; its payload is 12 bytes of nonce and the sealed payload, which
ends in a tag of 16 bytes. What is sealed is bound to the file's header, the chunk's type and the
number of slices before it, so nothing can be changed, swapped, moved to another file or left out
unnoticed. Width, height, mode, quality and model stay readable.
"""

import os
import struct
from collections.abc import Iterable

from vaecodec.errors import FormatError, PassphraseError, UsageError
from vaecodec.format.container import CRYPT_TYPE, PICTURE_TYPES, SLICE_TYPES, Chunk

_SCRYPT = 1
LOG2_N = 16  # 64 MiB and about 0.2 s for each guess
_LOG2_N_ALLOWED = range(14, 19)
_SALT_BYTES = 16
_NONCE_BYTES = 12
_FIXED = struct.Struct(f"<BB{_SALT_BYTES}s")


class Cipher:
    """Seals and opens the chunks of one file. `header`: its 28 packed bytes."""

    def __init__(self, passphrase: bytes, header: bytes, salt: bytes, log2_n: int):
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
        except ImportError:
            raise UsageError(
                "encryption needs the package cryptography: pip install '.[crypto]'"
            ) from None
        key = Scrypt(salt=salt, length=32, n=1 << log2_n, r=8, p=1).derive(passphrase)
        self._aead = AESGCM(key)
        self._header = header

    def _seal(self, content: bytes, kind: bytes, number: int) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, content, self._bound_to(kind, number))

    def open(self, sealed: bytes, kind: bytes, number: int) -> bytes:
        """The content of a chunk of type `kind` after `number` slices. Raises PassphraseError."""
        from cryptography.exceptions import InvalidTag

        try:
            nonce, content = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._aead.decrypt(nonce, content, self._bound_to(kind, number))
        except (InvalidTag, ValueError):
            raise PassphraseError("wrong passphrase, or the file was tampered with") from None

    def _bound_to(self, kind: bytes, number: int) -> bytes:
        return self._header + kind + struct.pack("<I", number)


def seal_chunks(chunks: Iterable[Chunk], passphrase: bytes, header: bytes) -> list[Chunk]:
    """All chunks of a file, encrypted, after the one that says how."""
    salt = os.urandom(_SALT_BYTES)
    cipher = Cipher(passphrase, header, salt, LOG2_N)
    sealed, slices, kinds = [], 0, b""
    for chunk in chunks:
        if slices == 0 and chunk.type not in PICTURE_TYPES:
            kinds += chunk.type
        sealed.append(Chunk(chunk.type, cipher._seal(chunk.payload, chunk.type, slices)))
        slices += chunk.type in SLICE_TYPES
    description = _FIXED.pack(_SCRYPT, LOG2_N, salt) + cipher._seal(kinds, CRYPT_TYPE, 0)
    return [Chunk(CRYPT_TYPE, description), *sealed]


def open_description(
    payload: bytes, passphrase: bytes | None, header: bytes
) -> tuple[Cipher, bytes]:
    """The cipher of a file from its "Cryp" chunk, and the types of the chunks before its slices.

    Raises PassphraseError without a passphrase or for a wrong one, and FormatError.
    """
    if len(payload) < _FIXED.size + _NONCE_BYTES:
        raise FormatError("its encryption is described wrongly; get another copy")
    derivation, log2_n, salt = _FIXED.unpack_from(payload)
    if derivation != _SCRYPT or log2_n not in _LOG2_N_ALLOWED:
        raise FormatError("is encrypted in a way unknown here; a newer vaecodec may read it")
    if passphrase is None:
        raise PassphraseError("is encrypted, and there is no passphrase", "passphrase")
    cipher = Cipher(passphrase, header, salt, log2_n)
    return cipher, cipher.open(payload[_FIXED.size :], CRYPT_TYPE, 0)
