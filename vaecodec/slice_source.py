"""The slices of a file as decoding asks for them: of a sound file in order, of a damaged one what is left."""

from contextlib import suppress
from typing import BinaryIO

from vaecodec.container import (
    ALPHA_TYPE,
    METADATA_TYPES,
    SLICE_TYPE,
    Chunk,
    Header,
    read_chunks,
    salvage_chunks,
    unpack_metadata,
)
from vaecodec.errors import FormatError

_KIND_OF_TYPE = {kind: name for name, kind in METADATA_TYPES.items()}


class SliceSource:
    """The slices of a sound file in order; its other chunks are kept as they are passed."""

    def __init__(self, file: BinaryIO, header: Header, needed: list[int]):
        self.alpha: bytes | None = None
        self.metadata: dict[str, bytes] = {}
        self.lost: set[int] = set()
        self._chunks = read_chunks(file, header, frozenset(needed))

    def take(self, numbers: list[int]) -> list[tuple[int, Chunk]]:
        """The next slices that are needed, which are these."""
        taken = []
        while len(taken) < len(numbers):
            number, chunk = next(self._chunks)
            if chunk.type == SLICE_TYPE:
                taken.append((number, chunk))
            else:
                self.keep(chunk)
        return taken

    def keep(self, chunk: Chunk) -> None:
        if chunk.type == ALPHA_TYPE:
            self.alpha = chunk.payload
        elif chunk.type in _KIND_OF_TYPE:
            self.metadata[_KIND_OF_TYPE[chunk.type]] = unpack_metadata(chunk)

    def fault(self, number: int, error: FormatError) -> None:
        """A slice whose bytes were sound and whose symbols are not."""
        raise error

    def finish(self) -> None:
        """Read on to the end of the file, so that it is checked."""
        for _ in self._chunks:
            pass


class SalvagedSliceSource(SliceSource):
    """What is sound of a damaged file."""

    def __init__(self, file: BinaryIO, header: Header, needed: list[int]):
        super().__init__(file, header, [])
        file.seek(0)
        self._found: dict[int, Chunk] = {}
        for number, chunk in salvage_chunks(file.read(), header):
            if chunk.type == SLICE_TYPE:
                self._found[number] = chunk
            else:
                with suppress(FormatError):
                    self.keep(chunk)
        self.lost = set(needed) - set(self._found)

    def take(self, numbers: list[int]) -> list[tuple[int, Chunk]]:
        return [(number, self._found[number]) for number in numbers if number in self._found]

    def fault(self, number: int, error: FormatError) -> None:
        self.lost.add(number)

    def finish(self) -> None:
        pass
