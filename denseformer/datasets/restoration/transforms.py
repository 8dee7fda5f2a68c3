"""Transforms of image pairs: reading, MATLAB's bicubic downsampling, crops, flips and rotations, packing.

In a pipeline, `img` is the degraded image and `gt_img` its target, arrays (H, W, C): grey, (B, G, R) or any other
channels, uint8 and uint16 of full range or float32 in [0, 1]. Where only the target is read, a transform makes `img`.

Legend: H W degraded image, C channels, s scale.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from denseformer.datasets.restoration.lmdb_store import read_file
from denseformer.images.reading import decode_image
from denseformer.registry import TRANSFORMS
from denseformer.restoration.data_sample import RestorationSample
from denseformer.restoration.resize import imresize

LUMA = np.array([24.966, 128.553, 65.481])
"""Weights of blue, green and red in the luma of BT.601."""


@TRANSFORMS.register_module()
class LoadImagePair(BaseTransform):
    """Read `gt_path` as `gt_img` and, where the dataset has one, `img_path` as `img`, in the type of their files.

    A target whose sides are no multiples of the scale is cropped on the right and at the bottom.

    Args:
        channels: 3 reads grey images as color, 1 color images as grey.
        scale: how many times larger the target is.
        luma: where one channel is read, the share of color images, 0 to 1, that become grey as their luma (BT.601, 16
            to 235); the others become OpenCV's grey.

    Raises ValueError for a file that cannot be read, and for images that do not belong together.
    """

    def __init__(self, *, channels: int = 3, scale: int = 1, luma: float = 0.0):
        if channels not in (1, 3):
            raise ValueError(f'LoadImagePair reads 1 or 3 channels, not {channels}.')
        if not 0 <= luma <= 1:
            raise ValueError(f'luma is a share of the images, from 0 to 1, not {luma}.')
        self.channels = channels
        self.scale = scale
        self.luma = luma if channels == 1 else 0.0

    def transform(self, results: dict) -> dict:
        as_luma = self.luma and np.random.random() < self.luma
        read = read_luma if as_luma else partial(read_image, channels=self.channels)
        target = read(results['gt_path'])
        height, width = (side // self.scale * self.scale for side in target.shape[:2])
        results['gt_img'] = target[:height, :width]
        if 'img_path' in results:
            results['img'] = read(results['img_path'])
            self._check(results)
        return results

    def _check(self, results: Mapping[str, Any]) -> None:
        size, target = results['img'].shape[:2], results['gt_img'].shape[:2]
        if tuple(side * self.scale for side in size) != target:
            raise ValueError(
                f"'{results['img_path']}' is {size[0]} x {size[1]}, its target '{results['gt_path']}' "
                f'{target[0]} x {target[1]} after cropping, which is not {self.scale} times that. Set the scale.'
            )


@TRANSFORMS.register_module()
class BicubicDownsample(BaseTransform):
    """Make `img` from `gt_img` by MATLAB's bicubic interpolation, to the bit, where the dataset has no `img`.

    Args:
        scale: how many times smaller `img` gets; the sides of the target must be multiples of it.
        patch: None for the whole image, or the side of a random patch of `img`, which is what that patch of the whole
            image would be; only its surroundings are read. With an `img`, the patch is cut out of both; without,
            a target that is smaller than the patch is enlarged to it, as in HAT's training on ImageNet.
    """

    def __init__(self, *, scale: int, patch: int | None = None):
        self.scale = scale
        self.patch = patch

    def transform(self, results: dict) -> dict:
        target, scale = results['gt_img'], self.scale
        if self.patch is None:
            if 'img' not in results:
                results['img'] = with_channels(imresize(target, 1 / scale))
            return results
        if 'img' in results:
            return crop_pair(results, self.patch, scale)
        target = enlarge_to(target, scale * self.patch)
        top, left = random_corner(target, scale, self.patch, results['gt_path'])
        results['img'] = downsample_window(target, scale, top, left, self.patch)
        results['gt_img'] = crop(target, scale * top, scale * left, scale * self.patch)
        return results


@TRANSFORMS.register_module()
class PairedRandomCrop(BaseTransform):
    """Cut the same random square out of both images, or out of the target where there is no `img`.

    Args:
        size: its side in `img`, or in a target that is alone.
        scale: how many times larger it is in `gt_img` than in `img`.
        corner: probability of the square at the top left corner, where JPEG's blocks of 8 begin.
    """

    def __init__(self, *, size: int, scale: int = 1, corner: float = 0.0):
        self.size = size
        self.scale = scale
        self.corner = corner

    def transform(self, results: dict) -> dict:
        at_corner = self.corner > 0 and np.random.random() < self.corner
        return crop_pair(results, self.size, self.scale, at_corner=at_corner)


@TRANSFORMS.register_module()
class RandomOrientation(BaseTransform):
    """Rotate by a random multiple of 90 degrees and flip at random, both images alike.

    Args:
        rotate: False only flips, left to right.
    """

    def __init__(self, *, rotate: bool = True):
        self.rotate = rotate

    def transform(self, results: dict) -> dict:
        turn, mirror = np.random.randint(4) if self.rotate else 0, np.random.randint(2)
        for key in ('img', 'gt_img'):
            if key in results:
                image = np.rot90(results[key], turn)
                results[key] = image[:, ::-1] if mirror else image
        return results


@TRANSFORMS.register_module()
class PackRestoration(BaseTransform):
    """Hand over {'inputs': `img`, 'data_samples': RestorationSample with `gt_img`, `mask`}, tensors, R, G, B."""

    def transform(self, results: dict) -> dict:
        sample = RestorationSample(metainfo={key: results[key] for key in ('img_path', 'gt_path') if key in results})
        if 'gt_img' in results:
            sample.gt_img = to_tensor(results['gt_img'])
        if 'mask' in results:
            sample.mask = to_tensor(results['mask'])
        return {'inputs': to_tensor(results['img']), 'data_samples': sample}


def read_image(path: str, channels: int) -> np.ndarray:
    """(H, W, channels) uint8, uint16 or float32 in [0, 1], colors as B, G, R."""
    picture = decode_image(path, read_file(path), gray=channels == 1)
    return picture.pixels if channels == 1 else picture.as_bgr()


def read_luma(path: str) -> np.ndarray:
    """(H, W, 1), the luma of a color image as BT.601 has it, 16 to 235 of 255; a grey image as it is."""
    pixels = decode_image(path, read_file(path)).pixels
    if pixels.shape[2] == 1:
        return pixels
    whole = np.iinfo(pixels.dtype).max if pixels.dtype.kind == 'u' else 1.0
    luma = (pixels @ LUMA + 16 * whole) / 255
    return (luma.round() if pixels.dtype.kind == 'u' else luma).astype(pixels.dtype)[..., None]


def with_channels(image: np.ndarray) -> np.ndarray:
    return image[..., None] if image.ndim == 2 else image


def random_corner(image: np.ndarray, scale: int, size: int, path: str) -> tuple[int, int]:
    """Top and left of a random square of `size` pixels in the image downsampled by `scale`."""
    height, width = (side // scale for side in image.shape[:2])
    if size > min(height, width):
        raise ValueError(f"'{path}' gives an image of {height} x {width}, too small for patches of {size} pixels.")
    return np.random.randint(height - size + 1), np.random.randint(width - size + 1)


def enlarge_to(image: np.ndarray, side: int) -> np.ndarray:
    """The image with sides of at least `side`."""
    height, width = (max(side, length) for length in image.shape[:2])
    if (height, width) == image.shape[:2]:
        return image
    return with_channels(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR))


def crop_pair(results: dict, size: int, scale: int, *, at_corner: bool = False) -> dict:
    image = results.get('img', results['gt_img'])
    top, left = (0, 0) if at_corner else random_corner(image, 1, size, results['gt_path'])
    if 'img' not in results:
        results['gt_img'] = crop(image, top, left, size)
        return results
    results['img'] = crop(image, top, left, size)
    results['gt_img'] = crop(results['gt_img'], scale * top, scale * left, scale * size)
    return results


def crop(image: np.ndarray, top: int, left: int, size: int) -> np.ndarray:
    return image[top : top + size, left : left + size]


def downsample_window(target: np.ndarray, scale: int, top: int, left: int, size: int) -> np.ndarray:
    """A crop (size, size, C) of the downsampled target, computed from those pixels alone that it depends on."""
    reach = 3  # pixels of the downsampled image; the kernel is 4 of them wide
    starts = [max(0, start - reach) for start in (top, left)]
    rows, columns = (slice(scale * start, scale * (start + size + 2 * reach)) for start in starts)
    part = with_channels(imresize(target[rows, columns], 1 / scale))
    return crop(part, top - starts[0], left - starts[1], size)


def to_tensor(image: np.ndarray) -> Tensor:
    """(H, W, C), colors as B, G, R -> (C, H, W), colors as R, G, B: uint8 as it is, others as float32 in [0, 1]."""
    if image.shape[2] == 3:
        image = image[..., ::-1]
    image = np.ascontiguousarray(image.transpose(2, 0, 1))
    if image.dtype == np.uint16:
        return torch.from_numpy(image.astype(np.float32) / 65535)
    return torch.from_numpy(image if image.dtype == np.uint8 else image.astype(np.float32))
