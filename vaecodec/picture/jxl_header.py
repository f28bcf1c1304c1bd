"""The depth of a JPEG XL file, which its reader does not tell (ISO/IEC 18181-1, annex D)."""

CODESTREAM = b"\xff\x0a"
_BOXES = ((b"jxlc", 4), (b"jxlp", 8))  # and where their part of it begins
_SIZES = ((1, 9), (1, 13), (1, 18), (1, 30))  # of U32: what is added, and bits read


def sample_bits(head: bytes) -> int | None:
    """Bits of a sample by the first bytes of a file, None where they cannot be told from them."""
    starts = [0, *(head.find(box) + skipped for box, skipped in _BOXES if box in head)]
    start = next((at for at in starts if head.startswith(CODESTREAM, at)), None)
    if start is None:
        return None
    bits = _Bits(head[start + len(CODESTREAM) :][:64])
    try:
        _skip_size(bits)
        return _depth(bits)
    except EOFError:
        return None


def _depth(bits: "_Bits") -> int | None:
    if bits.read(1):  # all of the metadata are as usual
        return 8
    if bits.read(1):  # extra fields
        bits.read(3)  # orientation
        if bits.read(1):
            _skip_size(bits)  # intrinsic
        if bits.read(1):  # a preview, which no common encoder writes
            return None
        if bits.read(1):  # animation
            bits.choose((100, 0), (1000, 0), (1, 10), (1, 30))
            bits.choose((1, 0), (1001, 0), (1, 8), (1, 10))
            bits.choose((0, 0), (0, 3), (0, 16), (0, 32))
            bits.read(1)
    if bits.read(1):  # floating point
        return bits.choose((32, 0), (16, 0), (24, 0), (1, 6))
    return bits.choose((8, 0), (10, 0), (12, 0), (1, 6))


def _skip_size(bits: "_Bits") -> None:
    small = bits.read(1)

    def side() -> int:
        return bits.read(5) if small else bits.choose(*_SIZES)

    side()
    if bits.read(3) == 0:  # no ratio: the width, too
        side()


class _Bits:
    """Bits from the lowest of each byte on. Raises EOFError at the end."""

    def __init__(self, data: bytes):
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def read(self, count: int) -> int:
        if count > self._left:
            raise EOFError
        result = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return result

    def choose(self, *ways: tuple[int, int]) -> int:
        """One of four ways to write a number: what is added, and how many bits follow."""
        added, count = ways[self.read(2)]
        return added + self.read(count)
