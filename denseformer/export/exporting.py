"""Writing a predictor's model as one file that runs without its code: ONNX, or PyTorch's own `torch.export`.

A file takes images of any size where the network's operators can be traced so; otherwise images of one size, and larger
ones are predicted in windows of it. What else a prediction needs (classes, colours, the steps before the network, the
scale) stands in the file beside the graph.

Legend: B batch, H W image, K classes.
"""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmseg.models import SegDataPreProcessor
from torch import Tensor, nn

from denseformer.export.runtime import Sizes
from denseformer.export.tracing import FORMATS, SMALL, ExportError, Graph, Written, trace, write
from denseformer.inference.predictor import Predictor
from denseformer.inference.restoration import RestorationTask
from denseformer.inference.segmentation import LOADERS, SegmentationTask
from denseformer.layers.padding import pad_image_to_multiple
from denseformer.layers.pooling import average_to_grid

SIZE = 512
"""Side of the windows of a network that cannot be traced for any size."""
OPEN = (Sizes(batches=True), Sizes(batches=False))
"""What is tried for a file that takes any size, from the widest on."""


@dataclass(frozen=True)
class Export:
    """A finished file; refusals: what it could not be written for, and why."""

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

    size: side of the windows that the file takes. None: images of any size, or, where the network's operators do not
    allow that, windows of 512 pixels; what is returned says which, and why. A config that tests in windows gives a file
    for windows of their size.

    Raises ValueError for another suffix or task, a model that cannot be exported, and a file that computes something
    else than the model; nothing is left at `path` then.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ValueError(f"'{path}' must end in {' or '.join(FORMATS)}.")
    graph, meta = graph_of(predictor), describe(predictor)
    size = size or tested_window(predictor)
    path.parent.mkdir(parents=True, exist_ok=True)
    refusals: list[str] = []
    for sizes in (Sizes(side=size),) if size else (*OPEN, Sizes(side=SIZE)):
        try:
            return Export(path, write(graph, trace(graph, sizes), path, sizes, meta), tuple(refusals))
        except ExportError as error:
            refusals.append(f'{sizes}: {error}')
    raise ValueError(f'{type(predictor.model).__name__} cannot be exported to {path.suffix} for {"; ".join(refusals)}')


class SegmentationGraph(nn.Module):
    """A model of mmsegmentation: pixels (B, 3, H, W), B, G, R, 0 .. 255, to class scores (B, K, H, W)."""

    def __init__(self, model: nn.Module):
        super().__init__()
        preprocessor = model.data_preprocessor
        padding = preprocessor.test_cfg or {}
        if type(preprocessor) is not SegDataPreProcessor or padding.get('size'):
            raise ValueError(
                'A model is exported with the normalisation of SegDataPreProcessor, and padding to a multiple; this '
                'one prepares images otherwise.'
            )
        self.model = with_open_pooling(model)
        self.multiple: int = padding.get('size_divisor') or 1
        self.order = [2, 1, 0] if preprocessor._channel_conversion else [0, 1, 2]
        mean, std = (preprocessor.mean, preprocessor.std) if preprocessor._enable_normalize else (0.0, 1.0)
        self.register_buffer('mean', torch.as_tensor(mean))
        self.register_buffer('std', torch.as_tensor(std))

    def forward(self, images: Tensor) -> Tensor:
        H, W = images.shape[2:]
        inputs = pad_image_to_multiple((images[:, self.order] - self.mean) / self.std, self.multiple)
        size = inputs.shape[2:]
        meta = {'ori_shape': (H, W), 'img_shape': size, 'pad_shape': size}
        return self.model.encode_decode(inputs, [meta])[..., :H, :W]


class GridPool(nn.Module):
    """nn.AdaptiveAvgPool2d, traced for any size: (B, C, H, W) -> (B, C, h, w)."""

    def __init__(self, size: int | tuple[int, int]):
        super().__init__()
        self.size = (size, size) if isinstance(size, int) else size

    def forward(self, x: Tensor) -> Tensor:
        return average_to_grid(x, self.size)


def with_open_pooling(model: nn.Module) -> nn.Module:
    """A copy of the model whose adaptive pooling can be traced for any size."""
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.AdaptiveAvgPool2d):
                setattr(parent, name, GridPool(child.output_size))
    return model


def with_stable_order(network: nn.Module) -> nn.Module:
    """A copy of the network that keeps alike tokens in their order, as ONNX does, and as GPUs do by themselves."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if hasattr(module, 'stable_order'):
            module.stable_order = True
    return network


def graph_of(predictor: Predictor) -> Graph:
    """What is exported of a predictor; raises ValueError for a task that cannot be."""
    task = predictor.task
    if isinstance(task, SegmentationTask):
        return Graph(SegmentationGraph(task.model), 3, brightest=255).cpu().eval()
    if isinstance(task, RestorationTask):
        return Graph(with_stable_order(task.network), task.network.in_channels, probes=SMALL).cpu().eval()
    raise ValueError(
        f'{type(predictor.model).__name__} cannot be exported: how many objects an image has decides how its detector '
        'goes on (non-maximum suppression, features cut out at proposals), and a file holds one fixed sequence of '
        'operators. Predict with its config and checkpoint; segmentation and restoration models can be exported.'
    )


def tested_window(predictor: Predictor) -> int | None:
    """Side of the windows that the config tests in, if it does."""
    test = getattr(predictor.model, 'test_cfg', None) or {}
    return max(test['crop_size']) if test.get('mode') == 'slide' else None


def describe(predictor: Predictor) -> dict[str, Any]:
    """What a prediction needs besides the graph; plain numbers, texts and lists."""
    task = predictor.task
    if isinstance(task, RestorationTask):
        network = task.network
        return {'task': 'restoration', 'scale': network.scale, 'channels': network.in_channels,
                'overlap': network.tile_overlap}  # fmt: skip
    config = predictor.config
    assert isinstance(task, SegmentationTask)
    assert config is not None
    steps = config.get('test_pipeline') or config.test_dataloader.dataset.pipeline
    return {
        'task': 'segmentation',
        'classes': list(task.classes),
        'palette': [list(colour) for colour in task.palette],
        'pipeline': [dict(step) for step in steps if step['type'].rpartition('.')[2] not in LOADERS],
        'scope': config.get('default_scope') or 'mmengine',
        'align_corners': bool(getattr(task.model, 'align_corners', False)),
        'threshold': getattr(task.model.decode_head, 'threshold', None),
    }
