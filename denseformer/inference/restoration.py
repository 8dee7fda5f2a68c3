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

from denseformer.export import Exportable, exportable_restorer
from denseformer.images.formats import suffix_for
from denseformer.images.metadata import Metadata
from denseformer.images.picture import Picture, with_hidden_filled
from denseformer.images.tiffs import Layout
from denseformer.inference.results import RestorationResult
from denseformer.inference.task import PreparedItem, Task, TiledNetwork
from denseformer.inference.tiling import Reader, as_bands
from denseformer.options import PredictionOptions
from denseformer.restoration.networks import RestorationNetwork
from denseformer.restoration.self_ensemble import self_ensemble

ALIGNMENT = 32
"""Tiles start at multiples of the network's `size_multiple` that are at least this, as some attend in windows too."""


class RestorationTask(Task):
    """From pictures to `RestorationResult`.

    A network for three channels takes a gray picture as color and gives the mean; one for a single channel restores
    each channel by itself. Transparency is enlarged bicubically, or kept where the size stays; colors that it
    hides are replaced by those of the nearest visible pixels.
    """

    resizes = False

    def __init__(self, network: RestorationNetwork, settings: PredictionOptions):
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
        self.tiled = TiledNetwork(self.restore, settings, overlap=overlap, multiple=multiple, scale=self.scale)

    def inputs_of(self, picture: Picture, name: PurePosixPath) -> tuple[np.ndarray, Any]:
        pixels = picture.pixels if picture.alpha is None else with_hidden_filled(picture.pixels, picture.alpha)
        return pixels, (pixels.shape, pixels.dtype)

    def batch_size(self, prepared: PreparedItem) -> int:
        return self.tiled.batch_size(pixel_reader(prepared.inputs), prepared.source.size)

    @torch.inference_mode()
    def predict(self, batch: Sequence[PreparedItem]) -> list[RestorationResult]:
        if len(batch) > 1:
            images = torch.stack([to_tensor(prepared.inputs) for prepared in batch])
            arrays = [to_array(image, batch[0].inputs.dtype) for image in self.tiled.network(images)]
        else:
            arrays = [self._restored(batch[0].inputs)]
        return [self._result(prepared, array) for prepared, array in zip(batch, arrays, strict=True)]

    def exportable(self) -> Exportable:
        """The network, with its scale and overlap."""
        return exportable_restorer(self.network)

    def _restored(self, pixels: np.ndarray) -> np.ndarray:
        H, W, channels = pixels.shape
        restored = np.empty((H * self.scale, W * self.scale, channels), pixels.dtype)
        for tile in self.tiled.tiles(pixel_reader(pixels), (H, W)):
            part = to_array(tile.values, pixels.dtype)
            restored[tile.top : tile.top + len(part), tile.left : tile.left + part.shape[1]] = part
        return restored

    def _result(self, prepared: PreparedItem, pixels: np.ndarray) -> RestorationResult:
        alpha = prepared.source.alpha
        if alpha is not None and self.scale > 1:
            alpha = cv2.resize(alpha, pixels.shape[1::-1], interpolation=cv2.INTER_CUBIC)
            alpha = alpha.clip(0, 1) if alpha.dtype == np.float32 else alpha
        metadata = replace(prepared.source.metadata.upscaled(self.scale), geo_tags=prepared.geo_tags)
        suffix = '.tif' if prepared.geo_tags else self.settings.format or suffix_for(prepared.name.suffix)
        return RestorationResult(prepared.name, prepared.source, Picture(pixels, alpha, metadata), suffix)

    @torch.inference_mode()
    def restore(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1], R, G, B -> (B, C, sH, sW) in [0, 1]."""
        images = images.to(self.device)
        with self.running():
            restored = self_ensemble(self._channels, images) if self.settings.tta else self._channels(images)
        return restored.float().clamp(0, 1)

    def _channels(self, images: Tensor) -> Tensor:
        B, C = images.shape[:2]
        if self.network.in_channels == C:
            return self.network(images)
        if self.network.in_channels == 1:
            return self.network(images.flatten(0, 1)[:, None]).unflatten(0, (B, C))[:, :, 0]
        return self.network(images.expand(-1, 3, -1, -1)).mean(1, keepdim=True)

    def bands(self, prepared: PreparedItem) -> Iterator[np.ndarray]:
        """Restored rows (h, sW, C) of a file that is read region by region, R, G, B, from top to bottom."""
        tiff = prepared.tiff
        if tiff.channels not in (1, 3):
            raise ValueError(
                f"'{tiff.path}' has {tiff.channels} channels; files that are read region by region have 1 or 3."
            )

        def read(rows: slice, columns: slice) -> Tensor:
            return as_fractions(torch.from_numpy(tiff.read(rows, columns))).permute(2, 0, 1)

        with torch.inference_mode():
            tiles = self.tiled.tiles(read, tiff.size)
            width, dtype = tiff.size[1] * self.scale, tiff.dtype
            yield from as_bands(tiles, width, lambda values: to_array(values, dtype)[..., ::-1])

    def layout(self, prepared: PreparedItem) -> Layout:
        """The file that `bands` make up."""
        H, W = prepared.tiff.size
        size = H * self.scale, W * self.scale
        metadata = Metadata(geo_tags=prepared.geo_tags)
        return Layout(size, prepared.tiff.channels, prepared.tiff.dtype, metadata)


def pixel_reader(pixels: np.ndarray) -> Reader:
    """Reads regions of an array (H, W, C), B, G, R or gray, as tensors."""
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
