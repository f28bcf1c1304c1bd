"""An ANS coder in plain Python: word for word what constriction's `AnsCoder` reads and writes.

This text specifies it; `entropy.coder` says what is coded with it, in which order.

An asymmetric numeral system in its range variant (rANS; Duda, "Asymmetric numeral systems", 2013)
keeps all that was coded in one number, of which the coder holds the upper end: `state`, an unsigned
64-bit integer, above a stack of 32-bit words. An empty coder has `state` = 0 and no words; whenever
there are words, `state` >= 2**32. All arithmetic is of unsigned integers, `//` rounds down, `%` is
its remainder.

A table of weights w[0..n-1] (see `entropy.tables`; their sum is 2**24 - n) divides 0..2**24-1 into
n intervals, one for each entry: f[i] = w[i] + 1 is the length of interval i and
c[i] = f[0] + ... + f[i-1] its start. No float takes part, and no entry has an empty interval.

To encode entry i: if `state` // 2**40 >= f[i], push `state` % 2**32 and set `state` to
`state` // 2**32; then set `state` to (`state` // f[i]) * 2**24 + c[i] + `state` % f[i].

To decode an entry: q = `state` % 2**24; i is the entry whose interval holds q,
c[i] <= q < c[i] + f[i]; set `state` to (`state` // 2**24) * f[i] + q - c[i]; then, if
`state` < 2**32 and there are words, pop one and set `state` to `state` * 2**32 + that word. The
last entry encoded is the first decoded, so an encoder goes through a message backwards.

The coded data are the words from the bottom of the stack up, then `state` % 2**32 and
`state` // 2**32, of which zeros at the end are left out (`state` = 0 gives nothing at all). Hence
data never end in a zero word. A decoder sets `state` to the last word, then, if there is another,
to `state` * 2**32 + the last but one, and leaves the rest as its stack. In a file words are
little-endian.

Any words can be decoded, for ever: `state` never grows once the stack is empty, and at 0 every
table gives entry 0. Having decoded as many entries as were encoded, `state` is 0 again; anything
else means that data were damaged or left over.
"""

from bisect import bisect_right

import numpy as np

from vaecodec.entropy.tables import PRECISION

_WORD_BITS = 32
_WORD_MASK = (1 << _WORD_BITS) - 1
_STATE_MIN = 1 << _WORD_BITS
_QUANTILE_MASK = (1 << PRECISION) - 1
_SPILL_SHIFT = 2 * _WORD_BITS - PRECISION


class Categorical:
    """The intervals of a table: `weights` `[n]`, integers that sum to 2**24 - n.

    Raises ValueError for other weights, which constriction would scale in floats.
    """

    def __init__(self, weights: np.ndarray):
        lengths = weights.astype(np.int64) + 1
        ends = np.cumsum(lengths)
        if lengths.min() < 1 or ends[-1] != 1 << PRECISION:
            raise ValueError("table weights do not sum to the coder's total")
        self.lengths: list[int] = lengths.tolist()
        self.starts: list[int] = (ends - lengths).tolist()
        self.likeliest = int(lengths.argmax())


class AnsCoder:
    """A stack of entries in 32-bit words; empty, or what `words` (`[N]` uint32) hold.

    Raises ValueError for words that no coder writes.
    """

    def __init__(self, words: np.ndarray | None = None):
        self._words: list[int] = [] if words is None else words.tolist()
        if self._words and not self._words[-1]:
            raise ValueError("ANS data never end in a zero word")
        self._state = 0
        for word in [self._words.pop() for _ in self._words[-2:]]:
            self._state = self._state << _WORD_BITS | word

    def encode_reverse(self, entries: np.ndarray, model: Categorical) -> None:
        """Encode `entries` (`[N]` integers, 0..n-1) from the last to the first.

        Raises KeyError for an entry that the model has not.
        """
        lengths, starts = model.lengths, model.starts
        if len(entries) and not 0 <= entries.min() <= entries.max() < len(lengths):
            raise KeyError("entry outside the model's table")
        state, push = self._state, self._words.append
        for entry in reversed(entries.tolist()):
            length = lengths[entry]
            if state >> _SPILL_SHIFT >= length:
                push(state & _WORD_MASK)
                state >>= _WORD_BITS
            state = (state // length << PRECISION) + starts[entry] + state % length
        self._state = state

    def decode(self, model: Categorical, count: int) -> np.ndarray:
        """The next `count` entries, `[count]` int32."""
        lengths, starts, likeliest = model.lengths, model.starts, model.likeliest
        # Asking for the likeliest entry before searching all saves a fifth of the time.
        low = starts[likeliest]
        high = low + lengths[likeliest]
        state, words, entries = self._state, self._words, []
        for _ in range(count):
            quantile = state & _QUANTILE_MASK
            entry = likeliest if low <= quantile < high else bisect_right(starts, quantile) - 1
            entries.append(entry)
            state = (state >> PRECISION) * lengths[entry] + quantile - starts[entry]
            if state < _STATE_MIN and words:
                state = state << _WORD_BITS | words.pop()
        self._state = state
        return np.array(entries, np.int32)

    def get_compressed(self) -> np.ndarray:
        """All that was encoded and not decoded, `[N]` uint32."""
        rest = [self._state & _WORD_MASK, self._state >> _WORD_BITS]
        while rest and not rest[-1]:
            rest.pop()
        return np.array(self._words + rest, np.uint32)

    def is_empty(self) -> bool:
        """Whether nothing is left to decode."""
        return self._state == 0
