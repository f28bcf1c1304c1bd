"""ONNX models as bytes: as much of the format as the network's graphs need, written directly.

An ONNX file is one protocol-buffer message (onnx.proto of the ONNX project, whose field numbers
stand below). Writing it takes these few lines and no package.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np

IR_VERSION = 8
OPSET = 17
OWN_DOMAIN = "com.microsoft"  # of the operators that ONNX Runtime adds
_VARINT, _BYTES, _FIXED32 = 0, 2, 5  # wire types
FLOAT, UINT8, INT32, INT64 = 1, 2, 6, 7  # of the format's element types
_ELEMENT_TYPES = {
    np.dtype(np.float32): FLOAT,
    np.dtype(np.uint8): UINT8,
    np.dtype(np.int8): 3,
    np.dtype(np.int32): INT32,
    np.dtype(np.int64): INT64,
}
_INT_ATTRIBUTE, _FLOAT_ATTRIBUTE, _STRING_ATTRIBUTE, _INTS_ATTRIBUTE = 2, 1, 3, 7
_GRAPH_ATTRIBUTE = 5
_Parts = list[bytes | memoryview]  # of a message; joined once, as weights are large


class Body(NamedTuple):
    """A graph that an operator runs, as the parts of its message."""

    parts: _Parts


Attribute = int | float | str | Sequence[int] | Body


class Graph:
    """A graph under construction; values are known by their names."""

    def __init__(self, name: str, outer: "Graph | None" = None):
        """`outer`: the graph of which this is an operator's body, and whose values it knows."""
        self._name = name
        self._nodes: _Parts = []
        self._constants: _Parts = []
        self._inputs: _Parts = []
        self._outputs: _Parts = []
        # Unique in bodies, too.
        self._numbers: Iterator[int] = outer._numbers if outer else count(1)
        self._domains: set[str] = outer._domains if outer else set()

    def input(
        self, name: str, shape: Sequence[int | str], dtype: type[np.generic] = np.float32
    ) -> str:
        """An input; sizes that are names may be any."""
        self._inputs += _message(11, _value(name, shape, dtype))
        return name

    def optional_input(self, name: str, default: np.ndarray) -> str:
        """An int64 input that is `default` where it is not given."""
        self._constants += _message(5, _tensor(name, default))
        return self.input(name, default.shape, np.int64)

    def output(
        self,
        value: str,
        name: str,
        shape: Sequence[int | str],
        dtype: type[np.generic] = np.float32,
    ) -> None:
        """Give `value` out as `name`."""
        self._nodes += _message(1, _node("Identity", [value], [name], {}))
        self._outputs += _message(12, _value(name, shape, dtype))

    def constant(self, array: np.ndarray) -> str:
        """An array that is stored with the graph, of one of the types above."""
        name = self._new_name()
        self._constants += _message(5, _tensor(name, array))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Attribute) -> str:
        """The output of an operator."""
        return self.nodes(1, operator, *inputs, **attributes)[0]

    def nodes(self, count: int, operator: str, *inputs: str, **attributes: Attribute) -> list[str]:
        """The first `count` outputs of an operator."""
        names = [self._new_name() for _ in range(count)]
        self._nodes += _message(1, _node(operator, inputs, names, attributes))
        return names

    def own_node(self, operator: str, *inputs: str) -> str:
        """The output of one of ONNX Runtime's own operators; inputs may be left out as ""."""
        name = self._new_name()
        node = [*_node(operator, inputs, [name], {}), _string(7, OWN_DOMAIN)]
        self._nodes += _message(1, node)
        self._domains.add(OWN_DOMAIN)
        return name

    def each(
        self,
        items: Sequence[str],
        widths: Sequence[int],
        body: "BodyOf",
        output_shape: Sequence[int | str],
        dtype: type[np.generic] = np.float32,
    ) -> str:
        """`[N, *output_shape]` of what `body` makes, in a graph of its own, of one row after the
        other of each of `items`, int64 `[N, width]`."""
        inner = Graph(f"each_{next(self._numbers)}", self)
        rows = [inner.input(inner._new_name(), [width], np.int64) for width in widths]
        inner.output(body(inner, rows), inner._new_name(), output_shape, dtype)
        return self.node("Scan", *items, body=Body(inner._parts()), num_scan_inputs=len(rows))

    def to_bytes(self, metadata: dict[str, str]) -> bytes:
        """The whole model."""
        model: _Parts = [
            _integer(1, IR_VERSION),
            _string(2, "vaecodec"),
            *_message(7, self._parts()),
        ]
        model += _message(8, [_integer(2, OPSET)])
        for domain in self._domains:
            model += _message(8, [_string(1, domain), _integer(2, 1)])
        for key, value in metadata.items():
            model += _message(14, [_string(1, key), _string(2, value)])
        return b"".join(model)

    def _parts(self) -> _Parts:
        graph: _Parts = [*self._nodes, _string(2, self._name), *self._constants]
        return graph + self._inputs + self._outputs

    def _new_name(self) -> str:
        return f"v{next(self._numbers)}"


BodyOf = Callable[[Graph, list[str]], str]  # (graph to put nodes into, its inputs) -> its output


def _node(
    operator: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    attributes: dict[str, Attribute],
) -> _Parts:
    parts: _Parts = [_string(1, name) for name in inputs]
    parts += [_string(2, name) for name in outputs]
    parts += [_string(3, outputs[0]), _string(4, operator)]
    for name, value in attributes.items():
        parts += _message(5, _attribute(name, value))
    return parts


def _attribute(name: str, value: Attribute) -> _Parts:
    content: _Parts
    if isinstance(value, int):
        content, kind = [_integer(3, value)], _INT_ATTRIBUTE
    elif isinstance(value, float):
        content, kind = [_key(2, _FIXED32), struct.pack("<f", value)], _FLOAT_ATTRIBUTE
    elif isinstance(value, str):
        content, kind = [_string(4, value)], _STRING_ATTRIBUTE
    elif isinstance(value, Body):
        content, kind = _message(6, value.parts), _GRAPH_ATTRIBUTE
    else:
        content, kind = [_integer(8, item) for item in value], _INTS_ATTRIBUTE
    return [_string(1, name), *content, _integer(20, kind)]


def _tensor(name: str, array: np.ndarray) -> _Parts:
    parts: _Parts = [_integer(1, size) for size in array.shape]
    parts += [_integer(2, _ELEMENT_TYPES[array.dtype]), _string(8, name)]
    stored = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return [*parts, *_message(9, [stored.reshape(-1).view(np.uint8).data])]


def _value(name: str, shape: Sequence[int | str], dtype: type[np.generic] = np.float32) -> _Parts:
    sizes: _Parts = []
    for size in shape:
        sizes += _message(1, [_integer(1, size) if isinstance(size, int) else _string(2, size)])
    tensor = [_integer(1, _ELEMENT_TYPES[np.dtype(dtype)]), *_message(2, sizes)]
    return [_string(1, name), *_message(2, _message(1, tensor))]


def _message(field: int, parts: _Parts) -> _Parts:
    """A field that holds the bytes of all `parts`."""
    return [_key(field, _BYTES) + _varint(sum(map(len, parts))), *parts]


def _string(field: int, text: str) -> bytes:
    content = text.encode("utf-8")
    return _key(field, _BYTES) + _varint(len(content)) + content


def _integer(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value)


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


_ONE_BYTE = [bytes([value]) for value in range(128)]


def _varint(value: int) -> bytes:
    """A number of at least 0: seven bits a byte, low first; the top bit says that more follow."""
    if value < 128:
        return _ONE_BYTE[value]
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    digits.append(value)
    return bytes(digits)
