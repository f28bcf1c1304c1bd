"""ONNX models as bytes: as much of the format as the network's graphs need, written directly.

An ONNX file is one protocol-buffer message (onnx.proto of the ONNX project, whose field numbers
stand below). Writing it takes these few lines and no package.
"""

import struct
from collections.abc import Sequence

import numpy as np

IR_VERSION = 8
OPSET = 17
_VARINT, _BYTES, _FIXED32 = 0, 2, 5  # wire types
FLOAT, INT32 = 1, 6  # of the format's element types
_ELEMENT_TYPES = {
    np.dtype(np.float32): FLOAT,
    np.dtype(np.uint8): 2,
    np.dtype(np.int8): 3,
    np.dtype(np.int32): INT32,
    np.dtype(np.int64): 7,
}
_INT_ATTRIBUTE, _FLOAT_ATTRIBUTE, _STRING_ATTRIBUTE, _INTS_ATTRIBUTE = 2, 1, 3, 7

Attribute = int | float | str | Sequence[int]
_Parts = list[bytes | memoryview]  # of a message; joined once, as weights are large


class Graph:
    """A graph under construction; values are known by their names."""

    def __init__(self, name: str):
        self._name = name
        self._nodes: _Parts = []
        self._constants: _Parts = []
        self._inputs: _Parts = []
        self._outputs: _Parts = []
        self._values = 0

    def input(self, name: str, shape: Sequence[int | str], integer: bool = False) -> str:
        """A float32 or int64 input; sizes that are names may be any."""
        self._inputs += _message(11, _value(name, shape, np.int64 if integer else np.float32))
        return name

    def optional_input(self, name: str, default: np.ndarray) -> str:
        """An int64 input that is `default` where it is not given."""
        self._constants += _message(5, _tensor(name, default))
        return self.input(name, default.shape, integer=True)

    def output(self, value: str, name: str, shape: Sequence[int | str]) -> None:
        """Give `value` out as `name`."""
        self._nodes += _message(1, _node("Identity", [value], name, {}))
        self._outputs += _message(12, _value(name, shape))

    def constant(self, array: np.ndarray) -> str:
        """An array that is stored with the graph, of one of the types above."""
        name = self._new_name()
        self._constants += _message(5, _tensor(name, array))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Attribute) -> str:
        """The output of an operator."""
        name = self._new_name()
        self._nodes += _message(1, _node(operator, inputs, name, attributes))
        return name

    def to_bytes(self, metadata: dict[str, str]) -> bytes:
        """The whole model."""
        graph = [*self._nodes, _string(2, self._name), *self._constants]
        graph += self._inputs + self._outputs
        model = [_integer(1, IR_VERSION), _string(2, "vaecodec"), *_message(7, graph)]
        model += _message(8, [_integer(2, OPSET)])
        for key, value in metadata.items():
            model += _message(14, [_string(1, key), _string(2, value)])
        return b"".join(model)

    def _new_name(self) -> str:
        self._values += 1
        return f"v{self._values}"


def _node(
    operator: str, inputs: Sequence[str], output: str, attributes: dict[str, Attribute]
) -> _Parts:
    parts: _Parts = [_string(1, name) for name in inputs]
    parts += [_string(2, output), _string(3, output), _string(4, operator)]
    for name, value in attributes.items():
        parts += _message(5, _attribute(name, value))
    return parts


def _attribute(name: str, value: Attribute) -> _Parts:
    if isinstance(value, int):
        content, kind = [_integer(3, value)], _INT_ATTRIBUTE
    elif isinstance(value, float):
        content, kind = [_key(2, _FIXED32), struct.pack("<f", value)], _FLOAT_ATTRIBUTE
    elif isinstance(value, str):
        content, kind = [_string(4, value)], _STRING_ATTRIBUTE
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


def _varint(value: int) -> bytes:
    """A number of at least 0: seven bits a byte, low first; the top bit says that more follow."""
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    digits.append(value)
    return bytes(digits)
