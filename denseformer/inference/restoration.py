"""Restoration: super-resolution, deraining, denoising, on images of any depth and number of channels.

Legend: B batch, C channels of the image, H W image, s scale.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from denseformer.images.formats import suffix_for
from denseformer.images.metadata import Metadata
from denseformer.images.reading import Picture
from denseformer.images.tiffs import Layout
from denseformer.inference.results import RestorationResult
from denseformer.inference.task import Prepared, Settings, Task, Windows
from denseformer.inference.tiling import Reader, as_bands
from denseformer.restoration.networks import RestorationNetwork
from denseformer.restoration.self_ensemble import self_ensemble

ALIGNMENT = 32
"""Windows start at multiples of the network's `size_multiple` that are at least this: some have inner windows too."""


class RestorationTask(Task):
    """Pictures to `RestorationResult`.

    A network for three channels takes a grey picture as colour and gives the mean; one for a single channel restores
    each channel by itself. Transparency is enlarged bicubically, or kept where the size stays.
    """

    resizes = False

    def __init__(self, network: RestorationNetwork, settings: Settings):
        super().__init__(settings)
        if network.in_channels not in (1, 3):
            raise ValueError(
                f'{type(network).__name__} takes {network.in_channels} channels; image files have 1 or 3. Call the '
                'network itself on your data.'
            )
        self.network = network
        self.scale = network.scale
        multiple = network.size_multiple * -(-ALIGNMENT // network.size_multiple)
        overlap = network.tile_overlap * 5 // 2
        self.windows = Windows(self.restore, settings, overlap=overlap, multiple=multiple, scale=self.scale)

    def inputs_of(self, picture: Picture, name: PurePosixPath) -> tuple[np.ndarray, Any]:
        return picture.pixels, (picture.pixels.shape, picture.pixels.dtype)

    def batch_size(self, prepared: Prepared) -> int:
        return self.windows.how_many(pixel_reader(prepared.inputs), prepared.source.size)

    @torch.inference_mode()
    def predict(self, batch: Sequence[Prepared]) -> list[RestorationResult]:
        if len(batch) > 1:
            images = torch.stack([to_tensor(prepared.inputs) for prepared in batch])
            arrays = [to_array(image, batch[0].inputs.dtype) for image in self.windows.elastic(images)]
        else:
            arrays = [self._restored(batch[0].inputs)]
        return [self._result(prepared, array) for prepared, array in zip(batch, arrays, strict=True)]

    def _restored(self, pixels: np.ndarray) -> np.ndarray:
        H, W, channels = pixels.shape
        restored = np.empty((H * self.scale, W * self.scale, channels), pixels.dtype)
        for block in self.windows.blocks(pixel_reader(pixels), (H, W)):
            part = to_array(block.values, pixels.dtype)
            restored[block.top : block.top + len(part), block.left : block.left + part.shape[1]] = part
        return restored

    def _result(self, prepared: Prepared, pixels: np.ndarray) -> RestorationResult:
        alpha = prepared.source.alpha
        if alpha is not None and self.scale > 1:
            alpha = cv2.resize(alpha, pixels.shape[1::-1], interpolation=cv2.INTER_CUBIC)
            alpha = alpha.clip(0, 1) if alpha.dtype == np.float32 else alpha
        metadata = replace(prepared.source.metadata.enlarged(self.scale), geography=prepared.geography)
        suffix = '.tif' if prepared.geography else self.settings.suffix or suffix_for(prepared.name.suffix)
        return RestorationResult(prepared.name, prepared.source, Picture(pixels, alpha, metadata), suffix)

    @torch.inference_mode()
    def restore(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1], R, G, B -> (B, C, sH, sW) in [0, 1]."""
        images = images.to(self.settings.device)
        with self.settings.autocast():
            restored = self_ensemble(self._channels, images) if self.settings.augment else self._channels(images)
        return restored.float().clamp(0, 1)

    def _channels(self, images: Tensor) -> Tensor:
        B, C = images.shape[:2]
        if self.network.in_channels == C:
            return self.network(images)
        if self.network.in_channels == 1:
            return self.network(images.flatten(0, 1)[:, None]).unflatten(0, (B, C))[:, :, 0]
        return self.network(images.expand(-1, 3, -1, -1)).mean(1, keepdim=True)

    def bands(self, prepared: Prepared) -> Iterator[np.ndarray]:
        """Restored rows (h, sW, C) of a file that is read in windows, R, G, B, from top to bottom."""
        window = prepared.window
        if window.channels not in (1, 3):
            raise ValueError(f"'{window.path}' has {window.channels} channels; in windows 1 or 3 are restored.")

        def read(rows: slice, columns: slice) -> Tensor:
            return as_fractions(torch.from_numpy(window.read(rows, columns))).permute(2, 0, 1)

        with torch.inference_mode():
            blocks = self.windows.blocks(read, window.size)
            width, dtype = window.size[1] * self.scale, window.dtype
            yield from as_bands(blocks, width, lambda values: to_array(values, dtype)[..., ::-1])

    def layout(self, prepared: Prepared) -> Layout:
        """The file that `bands` make up."""
        H, W = prepared.window.size
        size = H * self.scale, W * self.scale
        metadata = Metadata(geography=prepared.geography)
        return Layout(size, prepared.window.channels, prepared.window.dtype, metadata)


def pixel_reader(pixels: np.ndarray) -> Reader:
    """Reads windows of an array (H, W, C), B, G, R or grey, as tensors."""
    return lambda rows, columns: to_tensor(pixels[rows, columns])


def to_tensor(pixels: np.ndarray) -> Tensor:
    """(H, W, C) of an image's type, B, G, R -> (C, H, W) in [0, 1], R, G, B."""
    return as_fractions(torch.from_numpy(pixels[..., ::-1].copy())).permute(2, 0, 1)


def as_fractions(pixels: Tensor) -> Tensor:
    return pixels if pixels.is_floating_point() else pixels.float() / torch.iinfo(pixels.dtype).max


def to_array(image: Tensor, dtype: np.dtype) -> np.ndarray:
    """(C, H, W) in [0, 1], R, G, B -> (H, W, C) of an image's type, B, G, R."""
    if np.issubdtype(dtype, np.integer):
        image = (image * np.iinfo(dtype).max).round()
    return image.permute(1, 2, 0).cpu().numpy().astype(dtype)[..., ::-1]
