"""Data preprocessor of restoration: samples become batches on the device."""

from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from denseformer.registry import MODELS


@MODELS.register_module()
class RestorationPreprocessor(BaseDataPreprocessor):
    """Images of equal size as one batch, (B, C, H, W), float32 in [0, 1]; targets stay in their samples as they are."""

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """data: 'inputs', images (C, H, W) of unsigned integers or floating in [0, 1], and 'data_samples' -> the same.

        Raises ValueError for images of several sizes.
        """
        data = self.cast_data(data)
        return {'inputs': stack_images(data['inputs']), 'data_samples': data.get('data_samples')}


def stack_images(images: list[Tensor] | Tensor) -> Tensor:
    """Images (C, H, W), of unsigned integers or floating -> (B, C, H, W), float32 in [0, 1]."""
    shapes = {tuple(image.shape) for image in images}
    if len(shapes) > 1:
        raise ValueError(
            f'The images of a batch must have one size, got {sorted(shapes)}. Set batch_size=1 where whole images are '
            'read, or crop them, as with denseformer.PairedRandomCrop.'
        )
    return torch.stack([to_unit_range(image) for image in images])


def to_unit_range(image: Tensor) -> Tensor:
    """float32, integers divided by the largest number of their type."""
    return image.float() if image.is_floating_point() else image.float() / torch.iinfo(image.dtype).max
