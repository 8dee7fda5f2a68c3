"""The identity of a checkpoint: the answer of `denseformer identify`, and how it is printed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from denseformer.checkpoints.onnx_file import OnnxFile
from denseformer.checkpoints.signatures import Head, Resemblance

Settings = dict[str, Any]
"""A network as a config writes it: its `type`, `arch` and options."""


@dataclass(frozen=True)
class Identity:
    """The answer on one file.

    tensors, numbers: how many it holds; settings: of the network as a config writes them, None for an unknown one;
    layout: whose names its tensors have; prefix: where the network lies; alone: nothing is beside it; open: option ->
    its usual values, for what no tensor tells; configs: the shipped configs that build this model; nearest: the most
    alike network of an unknown one; state: what of its training run is in the file.
    """

    path: str
    tensors: int
    numbers: int
    settings: Settings | None = None
    layout: str = ''
    prefix: str = ''
    head: Head | None = None
    in_channels: int | None = None
    share: float = 0.0
    missing: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    open: dict[str, list[Any]] = field(default_factory=dict)
    configs: tuple[str, ...] = ()
    alone: bool = False
    nearest: Resemblance | None = None
    state: dict[str, Any] = field(default_factory=dict)
    onnx: OnnxFile | None = None

    @property
    def network(self) -> str:
        """The network and its options in words; empty for an unknown one."""
        if self.settings is None:
            return ''
        options = ', '.join(f'{name}={value!r}' for name, value in self.settings.items() if name != 'type')
        kinds = ' or '.join(map(short, self.open.get('type', [self.settings['type']])))
        return f'{kinds}({options})'

    def __str__(self) -> str:
        return '\n'.join(f'{name + ":":14}{text}' for name, text in self._lines() if text)

    def _lines(self) -> Iterator[tuple[str, str]]:
        kind = _onnx(self.onnx) if self.onnx else ''
        yield 'file', f'{self.path}: {kind}{self.tensors} tensors, {self.numbers / 1e6:.2f} M numbers'
        if self.onnx:
            for name, sizes in chain(self.onnx.inputs.items(), self.onnx.outputs.items()):
                yield 'map', f'{name} ({", ".join(map(str, sizes))})'
            yield 'operators', ', '.join(f'{count} {name}' for name, count in self.onnx.operators.most_common(8))
        if self.settings is None:
            near = f'; the nearest is {short(self.nearest.network)}, which shares ' if self.nearest else ''
            share = f'{self.nearest.share:.0%} of the names and not the shapes' if self.nearest else ''
            yield 'network', f'none that is known here{near}{share}'
        else:
            yield 'network', self.network
            yield 'layout', f'names of {self.layout}' + (f', below {self.prefix!r}' if self.prefix else '')
        if self.in_channels:
            yield 'channels', f'{self.in_channels} of the input'
        if self.head:
            counts = [f'{self.head.classes} classes'] if self.head.classes else []
            counts += [f'{self.head.queries} queries'] if self.head.queries else []
            yield 'head', ', '.join([f'{self.head.name} of {self.head.package}', *counts])
        names = self.state.get('classes', [])
        yield 'classes', ', '.join(map(str, names[:12])) + (' ...' if len(names) > 12 else '')
        for kind, keys in (('missing', self.missing), ('other shapes', self.other), ('unknown', self.unknown)):
            yield kind, f'{len(keys)}: {", ".join(keys[:4])}{" ..." if len(keys) > 4 else ""}' if keys else ''
        for name, values in self.open.items():
            if name == 'type':
                continue
            yield 'open', f'{name}, which no tensor tells; usual: {" or ".join(map(repr, values))}'
        progress = [f'{key} {self.state[key]}' for key in self.state if key not in ('holds', 'classes')]
        yield 'training', ', '.join([*self.state.get('holds', []), *progress]) or 'weights only'
        if self.settings is not None:
            none = 'none; the file holds a network alone' if self.alone else 'no shipped config builds this model'
            yield 'configs', ', '.join(self.configs) or none


def _onnx(file: OnnxFile) -> str:
    rounded = ', quantized' if file.quantized else ''
    return f'ONNX, written by {file.producer or "an unknown exporter"}{rounded}; '


def short(network: str) -> str:
    """A network's name without the scope of this project."""
    return network.removeprefix('denseformer.')
