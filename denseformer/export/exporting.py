"""Writing a predictor's model as one file that runs without its code: ONNX, or PyTorch's own `torch.export`.

A file takes images of any size where the network's operators can be traced with dynamic sizes; otherwise tiles of one
size, into which larger images are cut. Whatever else a prediction needs (classes, colors, the steps before the network,
the scale) stands in the file beside the graph.

Legend: B batch, H W image, K classes, Q queries, h w their masks.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from mmdet.models import DetDataPreprocessor
from mmseg.models import SegDataPreProcessor
from mmseg.models.utils import resize
from torch import Tensor, nn

from denseformer.export.runtime import Sizes
from denseformer.export.tracing import SMALL_MAPS, WRITERS, ExportError, Graph, Written, trace, write
from denseformer.layers.padding import pad_image_to_multiple

TILE = 512
"""Side of the tiles of a network that cannot be traced with dynamic sizes."""
DYNAMIC = (Sizes(batches=True), Sizes(batches=False))
"""The sizes that are tried for a file that takes images of any size, from the most general on."""


@dataclass(frozen=True)
class Exportable:
    """A model as it is exported.

    graph: its operators; metadata: plain numbers, texts and lists that a prediction needs besides; tile: side of the
    tiles that the model is tested in, None for whole images; whole: whether it takes whole images alone, of any size.
    """

    graph: Graph
    metadata: Mapping[str, Any]
    tile: int | None = None
    whole: bool = False


class Task(Protocol):
    """A predictor's task, as far as it is asked here."""

    def exportable(self) -> Exportable: ...


class Predictor(Protocol):
    """`denseformer.inference.Predictor`, as far as it is asked here; inference lies above this package."""

    @property
    def model(self) -> nn.Module: ...

    @property
    def task(self) -> Task: ...


@dataclass(frozen=True)
class Export:
    """A finished file; refusals: the more general sizes that it could not be written for, and why."""

    file: Path
    written: Written
    refusals: tuple[str, ...]

    def __str__(self) -> str:
        written = self.written
        lines = [
            f'{self.file}: {self.file.stat().st_size / 2**20:.1f} MiB',
            f'takes {written.sizes}',
            f'differs from the model by {written.difference:.1e}, {written.relative:.1e} of its largest output',
        ]
        return '\n'.join(lines + [f'not {refusal}' for refusal in self.refusals])


def export(predictor: Predictor, path: str | Path, size: int | None = None) -> Export:
    """Write `predictor`'s model as path.onnx or path.pt2.

    size: side of the tiles that the file takes. None: images of any size, or, where the network's operators do not
    allow that, tiles of 512 pixels; the returned record says which, and why. A config that tests in tiles gives a file
    for tiles of their size.

    A detector's file takes images of any size.

    Raises ValueError for another suffix or task, a size for a detector, a model that cannot be exported, and a file
    whose output differs from the model's; nothing is left at `path` then.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise ValueError(f"'{path}' must end in {' or '.join(WRITERS)}.")
    exportable = predictor.task.exportable()
    if exportable.whole and size:
        raise ValueError(
            f'{type(predictor.model).__name__} is exported for images of any size, as its config resizes them: leave '
            'out the size.'
        )
    graph, size = exportable.graph.cpu().eval(), size or exportable.tile
    path.parent.mkdir(parents=True, exist_ok=True)
    refusals: list[str] = []
    most_general = DYNAMIC if exportable.whole else (*DYNAMIC, Sizes(side=TILE))
    for sizes in (Sizes(side=size),) if size else most_general:
        try:
            written = write(graph, trace(graph, sizes), path, sizes, exportable.metadata)
            return Export(path, written, tuple(refusals))
        except ExportError as error:
            refusals.append(f'{sizes}: {error}')
    raise ValueError(f'{type(predictor.model).__name__} cannot be exported to {path.suffix} for {"; ".join(refusals)}')


def exportable_restorer(network: nn.Module) -> Exportable:
    """A restoration network: images (B, C, H, W) in [0, 1] to (B, C, scale * H, scale * W)."""
    metadata = {
        'task': 'restoration',
        'scale': network.scale,
        'channels': network.in_channels,
        'overlap': network.tile_overlap,
    }
    return Exportable(Graph(with_stable_order(network), network.in_channels, test_inputs=SMALL_MAPS), metadata)


def exportable_segmentor(model: nn.Module, facts: Mapping[str, Any]) -> Exportable:
    """A model of mmsegmentation; facts: what a prediction takes from its config."""
    preprocessor = model.data_preprocessor
    padding = preprocessor.test_cfg or {}
    if type(preprocessor) is not SegDataPreProcessor or padding.get('size'):
        raise ValueError(
            'A model is exported with the normalization of SegDataPreProcessor, and padding to a multiple; this '
            'one prepares images otherwise.'
        )
    metadata = {
        'task': 'segmentation',
        **facts,
        'align_corners': bool(getattr(model, 'align_corners', False)),
        'threshold': getattr(model.decode_head, 'threshold', None),
    }
    test = getattr(model, 'test_cfg', None) or {}
    tile = max(test['crop_size']) if test.get('mode') == 'slide' else None
    graph = SegmentationGraph(model, padding.get('size_divisor') or 1)
    return Exportable(Graph(graph, 3, max_value=255), metadata, tile)


def exportable_query_model(model: nn.Module, fusion: Mapping[str, Any], facts: Mapping[str, Any]) -> Exportable:
    """A model of mmdetection whose head gives classes and masks of queries, and whose `fusion` makes objects of them.

    fusion: the config of its `panoptic_fusion_head`; facts: what else a prediction takes from the config.
    """
    preprocessor = model.data_preprocessor
    if type(preprocessor) is not DetDataPreprocessor or preprocessor.pad_value:
        raise ValueError(
            'A model is exported with the normalization of DetDataPreprocessor, and padding by zeros; this one '
            'prepares images otherwise.'
        )
    multiple = preprocessor.pad_size_divisor
    graph = QueryGraph(model, multiple)
    metadata = {
        'task': 'detection',
        **facts,
        'multiple': multiple,
        'padding': graph.mean.expand(3, 1, 1)[graph.order].flatten().tolist(),  # what is normalized to 0
        'fusion': dict(fusion),
    }
    return Exportable(Graph(graph, 3, max_value=255, outputs=('scores', 'masks')), metadata, whole=True)


class PixelGraph(nn.Module):
    """A model of OpenMMLab with the normalization and padding of its preprocessor.

    multiple: to one of which sides are padded.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, multiple: int):
        from denseformer.export.substitutes import traceable  # imports every system, which running a file needs not

        super().__init__()
        preprocessor = model.data_preprocessor
        self.model = traceable(model)
        self.multiple = multiple
        self.order = [2, 1, 0] if preprocessor._channel_conversion else [0, 1, 2]
        mean, std = (preprocessor.mean, preprocessor.std) if preprocessor._enable_normalize else (0.0, 1.0)
        self.register_buffer('mean', torch.as_tensor(mean))
        self.register_buffer('std', torch.as_tensor(std))

    def inputs(self, images: Tensor) -> Tensor:
        """Pixels (B, 3, H, W), B, G, R, 0 .. 255, as the network takes them."""
        return pad_image_to_multiple((images[:, self.order] - self.mean) / self.std, self.multiple)


@contextmanager
def sizes_unread() -> Iterator[None]:
    """Keeps mmsegmentation's `resize` from its warning about aligned corners, which reads sizes as known numbers."""
    defaults = resize.__defaults__
    resize.__defaults__ = (*defaults[:-1], False)  # its last argument, `warning`
    try:
        yield
    finally:
        resize.__defaults__ = defaults


class SegmentationGraph(PixelGraph):
    """A model of mmsegmentation: pixels (B, 3, H, W), B, G, R, 0 .. 255, to class scores (B, K, H, W)."""

    def forward(self, images: Tensor) -> Tensor:
        H, W = images.shape[2:]
        inputs = self.inputs(images)
        size = inputs.shape[2:]
        meta = {'ori_shape': (H, W), 'img_shape': size, 'pad_shape': size}
        with sizes_unread():
            return self.model.encode_decode(inputs, [meta])[..., :H, :W]


class QueryGraph(PixelGraph):
    """A model of queries: pixels (B, 3, H, W), B, G, R, 0 .. 255, to classes (B, Q, K + 1) and masks (B, Q, h, w).

    Both are as the head gives them, before softmax and sigmoid; masks cover the padded image.
    """

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.panoptic_head.predict(self.model.extract_feat(self.inputs(images)), [])


def with_stable_order(network: nn.Module) -> nn.Module:
    """A copy of the network that sorts stably, as ONNX does, and as GPUs do by themselves."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if hasattr(module, 'stable_order'):
            module.stable_order = True
    return network
