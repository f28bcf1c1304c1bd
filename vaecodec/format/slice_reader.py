"""The slices of a file as decoding asks for them: of a sound file in order, of a damaged one what
is left."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import BinaryIO

from vaecodec.errors import FormatError, PassphraseError
from vaecodec.format.container import (
    ALPHA_TYPE,
    CRYPT_TYPE,
    GAIN_MAP_TYPE,
    METADATA_TYPES,
    PICTURE_TYPES,
    PREVIEW_TYPE,
    SAMPLES_PICTURE_TYPES,
    SLICE_TYPES,
    Chunk,
    Header,
    pack_header,
    read_chunks,
    salvage_chunks,
)
from vaecodec.format.encryption import Cipher, open_description
from vaecodec.format.metadata import unpack_metadata

_KIND_OF_TYPE = {kind: name for name, kind in METADATA_TYPES.items()}


class SliceSource:
    """The slices of a sound file in order, decrypted; its other chunks are kept as they are
    passed."""

    salvages = False

    def __init__(self, file: BinaryIO, header: Header, needed: list[int], passphrase: bytes | None):
        self.alpha: bytes | None = None
        self.gain_map: Chunk | None = None
        self.preview: bytes | None = None
        self.metadata: dict[str, bytes] = {}
        self.lost: set[int] = set()
        self._header, self._passphrase = header, passphrase
        self._cipher: Cipher | None = None
        self._chunks: Iterator[tuple[int, Chunk]]
        self._chunks = read_chunks(file, header, frozenset(needed))
        self._promised: list[bytes] = []  # types that an encrypted file says come before its slices

    def take_picture(self) -> bytes | None:
        """The stream of the whole picture's samples; None where there are slices, which are then
        taken. What stands before either is kept."""
        for number, sealed in self._chunks:
            if sealed.type in SLICE_TYPES:
                self._chunks = chain([(number, sealed)], self._chunks)
                return None
            chunk = self._decrypt(number, sealed)
            if chunk.type in SAMPLES_PICTURE_TYPES:
                return chunk.payload
            self._keep(chunk)
        return None

    def take(self, numbers: list[int]) -> list[tuple[int, Chunk]]:
        """The next slices that are needed, which are these; after `take_picture`."""
        taken: list[tuple[int, Chunk]] = []
        while len(taken) < len(numbers):
            number, sealed = next(self._chunks)
            chunk = self._decrypt(number, sealed)
            if chunk.type in SLICE_TYPES:
                taken.append((number, chunk))
            else:
                self._keep(chunk)
        return taken

    def fault(self, number: int, error: FormatError) -> None:
        """A slice whose bytes were sound and whose symbols are not."""
        raise error

    def finish(self) -> None:
        """Read on to the end of the file, so that it is checked."""
        for number, chunk in self._chunks:
            self._decrypt(number, chunk)

    def _decrypt(self, number: int, chunk: Chunk) -> Chunk:
        if chunk.type == CRYPT_TYPE:
            header = pack_header(self._header)
            self._cipher, kinds = open_description(chunk.payload, self._passphrase, header)
            self._promised = [kinds[i : i + 4] for i in range(0, len(kinds), 4)]
            return chunk
        if self._cipher is None:
            return chunk
        if chunk.type in self._promised:
            self._promised.remove(chunk.type)
        if chunk.type in PICTURE_TYPES and self._promised and not self.salvages:
            raise PassphraseError("parts of the file were taken out")
        return Chunk(chunk.type, self._cipher.open(chunk.payload, chunk.type, number))

    def _keep(self, chunk: Chunk) -> None:
        if chunk.type == ALPHA_TYPE:
            self.alpha = chunk.payload
        elif chunk.type == PREVIEW_TYPE:
            self.preview = chunk.payload
        elif chunk.type == GAIN_MAP_TYPE:
            self.gain_map = chunk
        elif chunk.type in _KIND_OF_TYPE:
            self.metadata[_KIND_OF_TYPE[chunk.type]] = unpack_metadata(chunk)


class SalvagedSliceSource(SliceSource):
    """What is sound of a damaged file."""

    salvages = True

    def __init__(self, file: BinaryIO, header: Header, needed: list[int], passphrase: bytes | None):
        super().__init__(file, header, [], passphrase)
        file.seek(0)
        self._picture: bytes | None = None
        self._found: dict[int, Chunk] = {}
        for number, chunk in salvage_chunks(file.read(), header):
            chunk = self._decrypt(number, chunk)
            if chunk.type in SLICE_TYPES:
                self._found[number] = chunk
            elif chunk.type in SAMPLES_PICTURE_TYPES:
                self._picture = chunk.payload
            else:
                with suppress(FormatError):
                    self._keep(chunk)
        self.lost = set(needed) - set(self._found) if self._picture is None else set()

    def take_picture(self) -> bytes | None:
        return self._picture

    def take(self, numbers: list[int]) -> list[tuple[int, Chunk]]:
        return [(number, self._found[number]) for number in numbers if number in self._found]

    def fault(self, number: int, error: FormatError) -> None:
        self.lost.add(number)

    def finish(self) -> None:
        pass
