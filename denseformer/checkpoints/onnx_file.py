"""The names and shapes of the weights in an ONNX file, read without running it and without another package.

ONNX is a protocol buffer: https://onnx.ai/onnx/repo-docs/IR.html says what it holds, onnx.proto the numbers of the
fields. Only the fields of interest are followed; all others are skipped by their lengths.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denseformer.checkpoints.common import CheckpointError

MODEL_PRODUCER, MODEL_GRAPH, MODEL_PROPERTY = 2, 7, 14
GRAPH_NODE, GRAPH_WEIGHT, GRAPH_INPUT, GRAPH_OUTPUT = 1, 5, 11, 12
NODE_OPERATOR = 4
TENSOR_SIZE, TENSOR_NAME = 1, 8


@dataclass(frozen=True)
class OnnxFile:
    """shapes: of the weights by name; inputs, outputs: sides of the maps by name, a text for one that is free;

    operators: how many nodes there are of each; metadata: what the exporter noted, `producer` who that was.
    """

    producer: str
    shapes: dict[str, tuple[int, ...]]
    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]
    operators: Counter
    metadata: dict[str, str]

    @property
    def quantized(self) -> bool:
        """Whether it computes with integers that stand for other numbers."""
        return any('QuantizeLinear' in name or name.startswith('QLinear') for name in self.operators)


def read_onnx(path: str | Path) -> OnnxFile:
    """Raises CheckpointError where the file is no ONNX model or is incomplete."""
    try:
        model = list(fields(memoryview(Path(path).read_bytes())))
        graph = list(fields(_only(model, MODEL_GRAPH)))
        nodes = [dict(fields(value)) for number, value in graph if number == GRAPH_NODE]
        weights = [_weight(value) for number, value in graph if number == GRAPH_WEIGHT]
        properties = [dict(fields(value)) for number, value in model if number == MODEL_PROPERTY]
        producer = next((value for number, value in model if number == MODEL_PRODUCER), b'')
        found = OnnxFile(
            producer=_text(producer),
            shapes=dict(weights),
            inputs=dict(_value_info(value) for number, value in graph if number == GRAPH_INPUT),
            outputs=dict(_value_info(value) for number, value in graph if number == GRAPH_OUTPUT),
            operators=Counter(_text(node[NODE_OPERATOR]) for node in nodes),
            metadata={_text(entry[1]): _text(entry.get(2, b'')) for entry in properties},
        )
    except (ValueError, LookupError, TypeError, StopIteration) as error:
        raise CheckpointError(f'{path}: not a complete ONNX model ({error}). Fetch or export it again.') from error
    return found


def fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field of a message, in order: a number, or the bytes of what has a length."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
        elif kind in (1, 2, 5):
            length, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            if at + length > len(message):
                raise ValueError('it ends within a field')
            yield tag >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError(f'a field of the unknown kind {kind}')


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at byte `at`, seven bits a byte, and where the next field begins."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _only(message: list, number: int) -> memoryview:
    return next(value for found, value in message if found == number) if message else memoryview(b'')


def _text(value: memoryview | bytes) -> str:
    return bytes(value).decode()


def _weight(tensor: memoryview) -> tuple[str, tuple[int, ...]]:
    sizes: list[int] = []
    name = ''
    for number, value in fields(tensor):
        if number == TENSOR_SIZE:
            sizes += [value] if isinstance(value, int) else _packed(value)
        elif number == TENSOR_NAME:
            name = _text(value)
    return name, tuple(sizes)


def _packed(values: memoryview) -> list[int]:
    found, at = [], 0
    while at < len(values):
        value, at = _varint(values, at)
        found.append(value)
    return found


def _value_info(value: memoryview) -> tuple[str, tuple[int | str, ...]]:
    """ValueInfoProto: name = 1, type = 2 -> tensor_type = 1 -> shape = 2 -> dim = 1 -> dim_value = 1, dim_param = 2."""
    info = dict(fields(value))
    shape: Any = info.get(2, b'')
    for number in (1, 2):
        shape = dict(fields(memoryview(shape))).get(number, b'')
    sizes = [dict(fields(dim)) for number, dim in fields(memoryview(shape)) if number == 1]
    return _text(info[1]), tuple(size[1] if 1 in size else _text(size.get(2, b'?')) for size in sizes)
