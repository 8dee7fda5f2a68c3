"""Writing a model as one file that runs without its code: ONNX, or PyTorch's own `torch.export`.

The graph takes images of one size: larger ones are predicted in windows of it, smaller ones are padded. What else a
prediction needs (classes, colours, the steps before the network, the scale) stands in the file beside the graph. Every
file is run once after it is written, and compared with the model it was made from.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from denseformer.inference.exported import META, run_onnx, run_program
from denseformer.inference.predictor import Predictor
from denseformer.inference.restoration import RestorationTask
from denseformer.inference.segmentation import LOADERS, SegmentationTask

TOLERANCE = 1e-3
"""The largest difference to the model that is taken for rounding, relative to its largest output."""


class Graph(nn.Module):
    """What is exported: images (1, C, N, N) as the task reads them -> its scores, or the restored image."""

    def __init__(self, task: SegmentationTask | RestorationTask):
        super().__init__()
        self.model = task.model if isinstance(task, SegmentationTask) else task.network
        self.run = task._scores if isinstance(task, SegmentationTask) else task.network

    def forward(self, images: Tensor) -> Tensor:
        return self.run(images)


def export(predictor: Predictor, path: str | Path, size: int) -> dict[str, Any]:
    """Write `predictor`'s model, for windows of size x size, as path.onnx or path.pt2; returns what was measured.

    Raises ValueError for another suffix or task, a model that cannot be exported, and a file that computes something
    else than the model; nothing is left at `path` then.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"'{path}' must end in {' or '.join(SUFFIXES)}.")
    if not isinstance(predictor.task, (SegmentationTask, RestorationTask)):
        raise ValueError('Segmentation models and restoration networks can be exported, detectors not.')
    graph = Graph(predictor.task).eval()
    channels = 3 if isinstance(predictor.task, SegmentationTask) else predictor.task.network.in_channels
    torch.manual_seed(0)
    images = torch.rand(1, channels, size, size, device=predictor.device)
    if isinstance(predictor.task, SegmentationTask):
        images = images * 255
    meta = {**describe(predictor), 'size': size}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f'.{path.stem}.part{path.suffix}')
    write, run = SUFFIXES[path.suffix]
    try:
        with torch.no_grad():
            expected = graph(images).cpu()
            try:
                write(graph, images, unfinished, meta)
            except Exception as error:  # the exporters raise what they please
                name, reason = type(graph.model).__name__, first_line(root_cause(error))
                raise ValueError(f'{name} cannot be exported to {path.suffix}: {reason}') from error
            found = run(unfinished)[0](images.cpu())
        difference = float((found - expected).abs().max() / expected.abs().max())
        if not difference <= TOLERANCE:
            raise ValueError(f'The exported file differs from the model by {difference:.1e} of its largest output.')
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return {'file': str(path), 'bytes': path.stat().st_size, 'size': size, 'relative difference': difference}


def root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), '') or type(error).__name__


def describe(predictor: Predictor) -> dict[str, Any]:
    """What a prediction needs besides the graph; plain numbers, texts and lists."""
    task = predictor.task
    if isinstance(task, RestorationTask):
        network = task.network
        return {'task': 'restoration', 'scale': network.scale, 'channels': network.in_channels,
                'overlap': network.receptive_hint}  # fmt: skip
    if not isinstance(task, SegmentationTask) or predictor.config is None:
        raise ValueError('Segmentation models and restoration networks can be exported, detectors not.')
    steps = predictor.config.get('test_pipeline') or predictor.config.test_dataloader.dataset.pipeline
    return {
        'task': 'segmentation',
        'classes': list(task.classes),
        'palette': [list(colour) for colour in task.palette],
        'pipeline': [dict(step) for step in steps if step['type'].rpartition('.')[2] not in LOADERS],
        'scope': predictor.config.get('default_scope') or 'mmengine',
        'align_corners': bool(getattr(task.model, 'align_corners', False)),
        'threshold': getattr(task.model.decode_head, 'threshold', None),
    }


def write_onnx(graph: Graph, images: Tensor, path: Path, meta: Mapping[str, Any]) -> None:
    import onnx

    program = torch.onnx.export(graph, (images,), dynamo=True, input_names=['images'], output_names=['output'])
    model = program.model_proto
    model.metadata_props.append(onnx.StringStringEntryProto(key=META, value=json.dumps(meta)))
    onnx.save(model, path)


def write_program(graph: Graph, images: Tensor, path: Path, meta: Mapping[str, Any]) -> None:
    program = torch.export.export(graph, (images,))
    torch.export.save(program, path, extra_files={META: json.dumps(meta)})


SUFFIXES = {'.onnx': (write_onnx, run_onnx), '.pt2': (write_program, run_program)}
