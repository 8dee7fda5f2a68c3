"""Tracing a network's operators, writing them as a file, and comparing the file with the network.

`torch.export` traces both kinds of files; sizes that stay open are symbols meanwhile, and a network must not decide by
them (`dynamic_shapes` says how). A graph may still hold for large images only, where a network treats small maps in
another way: so each file is run on sizes it was not traced with, from large to small, and says down to which it agrees.

Legend: B batch, C channels, H W image.
"""

import json
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
from denseformer.export.runtime import META, RUNNERS, Run, Sizes

TOLERANCE = 1e-3
"""The largest difference to the network that is taken for rounding, relative to its largest output."""


def sort(x: Tensor, *, stable: bool | None, dim: int = -1, descending: bool = False) -> tuple[Tensor, Tensor]:
    """A stable sort by the operator that becomes ONNX's TopK, which is always stable."""
    return torch.ops.aten.sort.default(x, dim, descending)


PLAIN = {
    torch.ops.denseformer.neighborhood_attention.default: gathered_attention,
    torch.ops.aten.sort.stable: sort,
    torch.ops.aten.argsort.stable: lambda x, **options: sort(x, **options)[1],
}
"""Operators that ONNX lacks, in those that it has."""


class ExportError(Exception):
    """An exporter does not take a network, or what it wrote computes something else."""


@dataclass(frozen=True)
class TestInputs:
    """Images (B, H, W): what open sizes are traced with, and what is compared, from large to small."""

    traced: tuple[int, int, int]
    compared: tuple[tuple[int, int, int], ...]


LARGE = TestInputs((2, 640, 576), ((1, 545, 530), (3, 160, 191), (2, 64, 95), (3, 32, 63)))
"""For networks that shrink maps to a 32nd, where they may have windows of up to 16 tokens."""
SMALL = TestInputs((2, 200, 168), ((1, 97, 130), (3, 64, 65), (3, 32, 49), (3, 8, 15)))
"""For networks that work at the image's own size."""


class Graph(nn.Module):
    """What is exported: images (B, C, H, W) of values in 0 .. `brightest` to one tensor."""

    def __init__(self, model: nn.Module, channels: int, *, brightest: int = 1, probes: TestInputs = LARGE):
        super().__init__()
        self.model, self.channels, self.brightest, self.probes = model, channels, brightest, probes

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)

    def images(self, shape: tuple[int, int, int], sizes: Sizes) -> Tensor:
        """Random ones, as many and as large as `shape` (B, H, W) says where `sizes` allows it."""
        batch, h, w = shape
        square = (sizes.side or h, sizes.side or w)
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(batch if sizes.batches else 1, self.channels, *square, generator=generator)
        return images * self.brightest


@dataclass(frozen=True)
class Written:
    """sizes: what a file takes; difference, relative: its largest to the network, and that of the largest output."""

    sizes: Sizes
    difference: float
    relative: float


class Format(Protocol):
    """A kind of file."""

    def __init__(self, program: ExportedProgram): ...

    def save(self, path: Path, meta: Mapping[str, Any]) -> None: ...


class Onnx:
    def __init__(self, program: ExportedProgram):
        # The exporter looks at memory layouts more than once, and the fast kernels do not always give the same.
        with sdpa_kernel(SDPBackend.MATH):
            if any(node.target in PLAIN for node in program.graph.nodes):
                program = program.run_decompositions(dict(PLAIN))
            converted = torch.onnx.export(program, input_names=['images'], output_names=['output'], verbose=False)
        self.model = converted.model_proto

    def save(self, path: Path, meta: Mapping[str, Any]) -> None:
        import onnx

        del self.model.metadata_props[:]
        self.model.metadata_props.append(onnx.StringStringEntryProto(key=META, value=json.dumps(meta)))
        onnx.save(self.model, path)


class Program:
    def __init__(self, program: ExportedProgram):
        # Tracing takes no side of any map to be 1, and the file would refuse the sizes where one is.
        for symbol, sizes in program.range_constraints.items():
            program.range_constraints[symbol] = type(sizes)(1, sizes.upper)
        self.program = program

    def save(self, path: Path, meta: Mapping[str, Any]) -> None:
        torch.export.save(self.program, path, extra_files={META: json.dumps(meta)})


FORMATS: dict[str, type[Format]] = {'.pt2': Program, '.onnx': Onnx}


def trace(graph: Graph, sizes: Sizes) -> ExportedProgram:
    """The network's operators for images of such sizes; raises ExportError where they cannot be traced."""
    images = graph.images(graph.probes.traced, sizes)
    axes = dict.fromkeys(((0,) if sizes.batches else ()) + (() if sizes.side else (2, 3)), Dim.DYNAMIC)
    with torch.no_grad(), refusing():
        return torch.export.export(graph, (images,), dynamic_shapes={'images': axes}, strict=False)


def write(graph: Graph, program: ExportedProgram, path: Path, sizes: Sizes, meta: Mapping[str, Any]) -> Written:
    """Write traced operators as path.onnx or path.pt2, and compare the file with `graph`.

    Raises ExportError where the format lacks an operator or the file disagrees; nothing is left at `path` then.
    """
    require_packages(path.suffix)
    unfinished = path.with_name(f'.{path.stem}.part{path.suffix}')
    try:
        with refusing():
            file = FORMATS[path.suffix](program)
            file.save(unfinished, {**meta, 'sizes': asdict(sizes)})
            written = compare(graph, RUNNERS[path.suffix](unfinished)[0], sizes)
            if written.sizes != sizes:
                file.save(unfinished, {**meta, 'sizes': asdict(written.sizes)})
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return written


def require_packages(suffix: str) -> None:
    """Raises ValueError where those are missing that write and run such files."""
    if suffix == '.onnx' and not all(find_spec(name) for name in ('onnx', 'onnxruntime', 'onnxscript')):
        raise ValueError('ONNX files need onnx, onnxruntime and onnxscript: pip install denseformer[export].')


@torch.no_grad()
def compare(graph: Graph, run: Run, sizes: Sizes) -> Written:
    """What a file differs by, and down to which size it agrees; raises ExportError if it does not agree at all."""
    smallest, difference, relative = 0, 0.0, 0.0
    for shape in graph.probes.compared[: 1 if sizes.side else None]:
        images = graph.images(shape, sizes)
        expected = graph(images)
        try:
            found = run(images)
            gap = float((found - expected).abs().max()) if found.shape == expected.shape else float('inf')
        except Exception as error:  # a runtime raises what it pleases for a size that the graph does not hold for
            if not smallest:
                raise ExportError(first_line(error)) from error
            break
        share = gap / float(expected.abs().max())
        if not share <= TOLERANCE:
            if not smallest:
                raise ExportError(f'the file differs from the network by {share:.1e} of its largest output')
            break
        smallest, difference, relative = min(images.shape[2:]), max(difference, gap), max(relative, share)
    return Written(sizes if sizes.side else replace(sizes, smallest=smallest), difference, relative)


@contextmanager
def refusing() -> Iterator[None]:
    """What exporters raise, which is whatever they please, as ExportError with its cause in one line."""
    try:
        yield
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(first_line(root_cause(error))) from error


def root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), '') or type(error).__name__
