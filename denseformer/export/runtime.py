"""Running an exported file in place of a model."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from denseformer.dynamic_shapes import padding_to_multiple
from denseformer.layers.padding import reflect_image_to
from denseformer.registry import MODELS

META = 'denseformer'
"""The key of our metadata in a file."""
Meta = dict[str, Any]
Run = Callable[[Tensor], tuple[Tensor, ...]]
"""Maps images on the CPU, of a size and number that the file takes, to the outputs."""


@dataclass(frozen=True)
class Sizes:
    """The images that a file takes.

    side: that of the one square that it takes, None for any size from `smallest` on; batches: any number at once.
    """

    side: int | None = None
    smallest: int = 1
    batches: bool = False

    def __str__(self) -> str:
        images = f'images of {self.side} x {self.side}' if self.side else 'images of any size'
        least = '' if self.side or self.smallest == 1 else f' from {self.smallest} on'
        return f'{images}{least}, {"any number" if self.batches else "one"} at a time'


def run_onnx(path: Path) -> tuple[Run, Meta]:
    """An ONNX file, run by ONNX Runtime on the CPU with as many threads as PyTorch has, and its metadata."""
    try:
        import onnxruntime
    except ImportError:
        raise ValueError(f"'{path}': ONNX files need onnxruntime: pip install 'denseformer[export]'.") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    meta = session.get_modelmeta().custom_metadata_map.get(META)

    def run(images: Tensor) -> tuple[Tensor, ...]:
        return tuple(map(torch.from_numpy, session.run(None, {session.get_inputs()[0].name: images.numpy()})))

    return run, parsed(path, meta)


def run_torch_export(path: Path) -> tuple[Run, Meta]:
    """A file of `torch.export`, run by PyTorch on the CPU, and its metadata."""
    extra = {META: ''}
    # Guards would refuse sizes that agree: they also watch how tensors happen to lie in memory.
    module = torch.export.load(path, extra_files=extra).module(check_guards=False)
    return lambda images: as_tuple(module(images)), parsed(path, extra[META])  # a module would take part in eval()


def as_tuple(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def parsed(path: Path, meta: str | bytes | None) -> Meta:
    if not meta:
        raise ValueError(f"'{path}' was not written by `denseformer export`: it does not say what it takes and gives.")
    return json.loads(meta)


RUNNERS = {'.onnx': run_onnx, '.pt2': run_torch_export}


class ExportedModel(nn.Module):
    """An exported graph behind the interface of the model that it was made from.

    Images smaller than the file takes are padded by reflection, and the output is cropped. A file for one size takes no
    larger images. A copy, also in another process, reads the file again.
    """

    def __init__(self, path: Path, run: Run, meta: Mapping[str, Any]):
        super().__init__()
        self.path = path
        self.run = run
        self.sizes = Sizes(**meta['sizes'])
        self.scale: int = meta.get('scale', 1)

    def __reduce__(self) -> tuple[Any, ...]:
        return read_again, (self.path.absolute(),)

    def forward(self, images: Tensor) -> Tensor:
        h, w = images.shape[2:]
        least = self.sizes.side or self.sizes.smallest
        whole = reflect_image_to(images.cpu(), (max(h, least), max(w, least))).contiguous()
        parts = [whole] if self.sizes.batches else whole.split(1)
        output = torch.cat([output for (output,) in map(self.run, parts)])
        return output[..., : h * self.scale, : w * self.scale]


class ExportedNetwork(ExportedModel):
    """A restoration network."""

    size_multiple = 1

    def __init__(self, path: Path, run: Run, meta: Mapping[str, Any]):
        super().__init__(path, run, meta)
        self.in_channels: int = meta['channels']
        self.tile_overlap: int = meta['overlap']


class ExportedSegmentor(ExportedModel):
    """A segmentation model; normalization is part of the graph."""

    def __init__(self, path: Path, run: Run, meta: Mapping[str, Any]):
        super().__init__(path, run, meta)
        self.align_corners: bool = meta['align_corners']
        self.decode_head = Config({'threshold': meta['threshold']})

    def data_preprocessor(self, data: dict[str, Any], training: bool) -> dict[str, Any]:
        return {**data, 'inputs': torch.stack([image.float() for image in data['inputs']])}

    def encode_decode(self, images: Tensor, metas: Any) -> Tensor:
        return self(images)

    inference = encode_decode


class ExportedDetector(ExportedModel):
    """A model of queries; the file gives their classes and masks, and the model's own fusion makes objects of them.

    Images smaller than the file takes are padded as the model pads.
    """

    def __init__(self, path: Path, run: Run, meta: Mapping[str, Any]):
        super().__init__(path, run, meta)
        self.multiple: int = meta['multiple']
        self.padding = torch.tensor(meta['padding'])[:, None, None]  # (3, 1, 1)
        self.fusion = MODELS.build(meta['fusion'])
        self.num_things_classes: int = self.fusion.num_things

    def test_step(self, batch: Mapping[str, Sequence[Any]]) -> list[Any]:
        """The `DetDataSample` of each image with what was found in it, as mmdetection's models return them.

        batch: inputs, each (3, h, w), B, G, R, 0 .. 255; data_samples.
        """
        for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
            h, w = image.shape[1:]
            size = max(h, self.sizes.smallest), max(w, self.sizes.smallest)
            whole = self.padding.repeat(1, *size)
            whole[:, :h, :w] = image
            padded = tuple(side + padding_to_multiple(side, self.multiple) for side in size)
            sample.set_metainfo({'batch_input_shape': padded})
            (found,) = self.fusion.predict(*self.run(whole[None]), [sample], rescale=True)
            sample.pred_instances = found['ins_results']
            if 'pan_results' in found:
                sample.pred_panoptic_seg = found['pan_results']
        return list(batch['data_samples'])


MODELS_BY_TASK = {'segmentation': ExportedSegmentor, 'detection': ExportedDetector}


def load_exported(path: Path) -> tuple[ExportedModel, Config | None]:
    """The model in a file of `denseformer export`, and the part of its config that a prediction needs."""
    if not path.is_file():
        raise ValueError(f"There is no file '{path}'.")
    try:
        run, meta = RUNNERS[path.suffix](path)
    except ValueError:
        raise
    except Exception as error:  # each runtime raises its own errors for a damaged file
        reason = next(iter(str(error).strip().splitlines()), '') or type(error).__name__
        raise ValueError(
            f"'{path}' cannot be loaded ({reason}): it is truncated, damaged, or without the files beside it that it "
            'names. Copy it again, or export the model again.'
        ) from error
    if meta['task'] == 'restoration':
        return ExportedNetwork(path, run, meta), None
    dataset = {'type': 'mmengine.BaseDataset', 'metainfo': {key: meta[key] for key in ('classes', 'palette')}}
    config = {
        'default_scope': meta['scope'],
        'test_pipeline': with_tuples(meta['pipeline']),
        'test_dataloader': {'dataset': dataset},
        'num_classes': len(meta['classes']),
    }
    return MODELS_BY_TASK[meta['task']](path, run, meta), Config(config)


def with_tuples(value: Any) -> Any:
    """A value from JSON, in which lists of numbers are tuples, as steps of OpenMMLab want sizes."""
    if isinstance(value, Mapping):
        return {key: with_tuples(each) for key, each in value.items()}
    if not isinstance(value, list):
        return value
    if value and all(isinstance(each, int | float) for each in value):
        return tuple(value)
    return [with_tuples(each) for each in value]


def read_again(path: Path) -> ExportedModel:
    """The model in a file."""
    return load_exported(path)[0]
