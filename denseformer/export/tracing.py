"""Tracing a network's operators, writing them as a file, and comparing the file with the network.

`torch.export` traces for both kinds of files; dynamic sizes are symbols meanwhile, and a network must not branch on
them (`dynamic_shapes` says how). A graph may still hold for large images only, where a network treats small maps in
another way: so each file is run on sizes it was not traced with, from large to small, and says down to which it agrees.

Legend: B batch, C channels, H W image.
"""

import json
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn.attention import SDPBackend, sdpa_kernel

import denseformer.attention.neighborhood  # noqa: F401  defines the operator named below
from denseformer.attention.neighborhood.plain import gathered_attention
from denseformer.attention.selective_scan import doubling_scan
from denseformer.export.runtime import META, RUNNERS, Run, Sizes, as_tuple

TOLERANCE = 1e-3
"""The largest difference from the network, relative to its largest output, that counts as rounding."""


def sort(x: Tensor, *, stable: bool | None, dim: int = -1, descending: bool = False) -> tuple[Tensor, Tensor]:
    """A stable sort by the operator that becomes ONNX's TopK, which is always stable."""
    return torch.ops.aten.sort.default(x, dim, descending)


NETWORK_CODE = ('denseformer', 'mmseg', 'mmdet', 'mmcv')
"""Packages that networks come from."""
ONNX_DECOMPOSITIONS = {
    torch.ops.denseformer.neighborhood_attention.default: gathered_attention,
    torch.ops.denseformer.selective_scan.default: doubling_scan,
    torch.ops.aten.sort.stable: sort,
    torch.ops.aten.argsort.stable: lambda x, **options: sort(x, **options)[1],
}
"""Operators that ONNX lacks, by those that it has."""


class ExportError(Exception):
    """A network that an exporter refuses, or a file that computes something else than the network."""


@dataclass(frozen=True)
class TestInputs:
    """Shapes (B, H, W) of images: of those that are traced with dynamic sizes, and of those compared, largest first."""

    traced: tuple[int, int, int]
    compared: tuple[tuple[int, int, int], ...]


DOWNSAMPLED_MAPS = TestInputs((2, 640, 576), ((1, 545, 530), (3, 160, 191), (2, 64, 95), (3, 32, 63)))
"""For networks that downsample maps to a 32nd, where they may have windows of up to 16 tokens."""
SMALL_MAPS = TestInputs((2, 200, 168), ((1, 97, 130), (3, 64, 65), (3, 32, 49), (3, 8, 15)))
"""For networks that work at the image's own size."""


class Graph(nn.Module):
    """A module to be exported: images (B, C, H, W) of values in 0 .. `max_value` to a tensor for each of `outputs`."""

    def __init__(
        self,
        model: nn.Module,
        channels: int,
        *,
        max_value: int = 1,
        test_inputs: TestInputs = DOWNSAMPLED_MAPS,
        outputs: tuple[str, ...] = ('output',),
    ):
        super().__init__()
        self.model, self.channels, self.max_value, self.test_inputs = model, channels, max_value, test_inputs
        self.outputs = outputs

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.model(images)

    def images(self, shape: tuple[int, int, int], sizes: Sizes) -> Tensor:
        """Random images, as many and as large as `shape` (B, H, W) says where `sizes` allows it."""
        batch, h, w = shape
        square = (sizes.side or h, sizes.side or w)
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(batch if sizes.batches else 1, self.channels, *square, generator=generator)
        return images * self.max_value


@dataclass(frozen=True)
class Written:
    """A file on disk: the sizes that it takes, its largest difference from the network, and that as a share of the
    largest output."""

    sizes: Sizes
    difference: float
    relative: float


class Writer(Protocol):
    """A kind of file: takes a traced program, writes it."""

    def __init__(self, program: ExportedProgram, outputs: tuple[str, ...] = ('output',)): ...

    def save(self, path: Path, meta: Mapping[str, Any]) -> None: ...


class OnnxExport:
    """An ONNX file."""

    def __init__(self, program: ExportedProgram, outputs: tuple[str, ...] = ('output',)):
        # The exporter looks at memory layouts more than once, and the fast kernels do not always give the same.
        with sdpa_kernel(SDPBackend.MATH):
            if any(node.target in ONNX_DECOMPOSITIONS for node in program.graph.nodes):
                program = program.run_decompositions(dict(ONNX_DECOMPOSITIONS))
            converted = torch.onnx.export(program, input_names=['images'], output_names=outputs, verbose=False)
        self.model = converted.model_proto

    def save(self, path: Path, meta: Mapping[str, Any]) -> None:
        import onnx

        del self.model.metadata_props[:]
        self.model.metadata_props.append(onnx.StringStringEntryProto(key=META, value=json.dumps(meta)))
        onnx.save(self.model, path)


class TorchExport:
    """A file of `torch.export`."""

    def __init__(self, program: ExportedProgram, outputs: tuple[str, ...] = ('output',)):
        # Tracing assumes that no side of any map is 1; the file would refuse the sizes where one is.
        for symbol, sizes in program.range_constraints.items():
            program.range_constraints[symbol] = type(sizes)(1, sizes.upper)
        self.program = program

    def save(self, path: Path, meta: Mapping[str, Any]) -> None:
        torch.export.save(self.program, path, extra_files={META: json.dumps(meta)})


WRITERS: dict[str, type[Writer]] = {'.pt2': TorchExport, '.onnx': OnnxExport}


def trace(graph: Graph, sizes: Sizes) -> ExportedProgram:
    """The network's operators for images of such sizes; raises ExportError where they cannot be traced."""
    images = graph.images(graph.test_inputs.traced, sizes)
    axes = dict.fromkeys(((0,) if sizes.batches else ()) + (() if sizes.side else (2, 3)), Dim.DYNAMIC)
    with torch.no_grad(), reasons_in_one_line():
        return torch.export.export(graph, (images,), dynamic_shapes={'images': axes}, strict=False)


def write(graph: Graph, program: ExportedProgram, path: Path, sizes: Sizes, meta: Mapping[str, Any]) -> Written:
    """Write traced operators as path.onnx or path.pt2, and compare the file with `graph`.

    Raises ExportError where the format lacks an operator or the file disagrees; nothing is left at `path` then.
    """
    require_packages(path.suffix)
    unfinished = path.with_name(f'.{path.stem}.part{path.suffix}')
    try:
        with reasons_in_one_line():
            file = WRITERS[path.suffix](program, graph.outputs)
            file.save(unfinished, {**meta, 'sizes': asdict(sizes)})
            written = compare(graph, RUNNERS[path.suffix](unfinished)[0], sizes)
            if written.sizes != sizes:
                file.save(unfinished, {**meta, 'sizes': asdict(written.sizes)})
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return written


def require_packages(suffix: str) -> None:
    """Raise ValueError where the packages that write and run such files are missing."""
    if suffix == '.onnx' and not all(find_spec(name) for name in ('onnx', 'onnxruntime', 'onnxscript')):
        raise ValueError("ONNX files need onnx, onnxruntime and onnxscript: pip install 'denseformer[export]'.")


@torch.no_grad()
def compare(graph: Graph, run: Run, sizes: Sizes) -> Written:
    """The difference of a file from the network, and the size down to which they agree; raises ExportError for none."""
    smallest, difference, relative = 0, 0.0, 0.0
    for shape in graph.test_inputs.compared[: 1 if sizes.side else None]:
        images = graph.images(shape, sizes)
        expected = as_tuple(graph(images))
        try:
            gaps = [
                float((ours - theirs).abs().max()) if ours.shape == theirs.shape else float('inf')
                for ours, theirs in zip(run(images), expected, strict=True)
            ]
        except Exception as error:  # runtimes raise errors of any kind for a size that the graph does not hold for
            if not smallest:
                raise ExportError(first_line(error)) from error
            break
        shares = [gap / float(each.abs().max()) for gap, each in zip(gaps, expected, strict=True)]
        if not all(share <= TOLERANCE for share in shares):
            if not smallest:
                raise ExportError(f'the file differs from the network by {max(shares):.1e} of its largest output')
            break
        smallest, difference, relative = min(images.shape[2:]), max(difference, *gaps), max(relative, *shares)
    return Written(sizes if sizes.side else replace(sizes, smallest=smallest), difference, relative)


@contextmanager
def reasons_in_one_line() -> Iterator[None]:
    """Turns whatever exporters raise into an ExportError with its cause in one line."""
    try:
        yield
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(first_line(root_cause(error)) + place_of(error)) from error


def root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def place_of(error: BaseException) -> str:
    """The line of a network's code that an exporter stopped at, ' (mmcv/ops/carafe.py:12)'; '' where it is none's."""
    for each in (root_cause(error), error):
        for frame in reversed(traceback.extract_tb(each.__traceback__)):
            parts = Path(frame.filename).parts
            starts = [i for i, part in enumerate(parts) if part in NETWORK_CODE]
            if starts and parts[starts[-1] :][:2] != ('denseformer', 'export'):
                return f' ({"/".join(parts[starts[-1] :])}:{frame.lineno})'
    return ''


def first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), '') or type(error).__name__
