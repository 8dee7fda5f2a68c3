"""Strict reading of label maps: anything suspicious raises an error that names the file."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image, UnidentifiedImageError

from denseformer.images.limits import check_pixels
from denseformer.images.reading import pixels_in_header, read_bytes
from denseformer.registry import TRANSFORMS

COUNTED_DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16))
DROPPED = 255
"""The label that mmsegmentation's label maps give to classes that are left out."""


@TRANSFORMS.register_module()
class LoadSegmentation(BaseTransform):
    """Read the label map `seg_map_path` in place of mmsegmentation's LoadAnnotations, which accepts anything.

    `reduce_zero_label` and the `label_map` of a dataset with chosen classes mean what they mean there. The result,
    `gt_seg_map`, (H, W), is uint8, or uint16 where the classes need it.

    Args:
        num_classes: labels 0 .. num_classes - 1 are legal after both of these have been applied.
        ignore_index: the label of pixels that do not count, legal besides.
        reduce_zero_label: None to do as the dataset says.
        backend_args: for mmengine's file backends.

    Raises ValueError for fewer than two classes, and for a file that is missing or no image, has several channels,
    fractions, another size than the image, labels outside the legal range, or more than `images.limits.MAX_PIXELS`
    pixels.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        ignore_index: int = 255,
        reduce_zero_label: bool | None = None,
        backend_args: dict | None = None,
    ):
        if num_classes < 2:
            raise ValueError(
                f'num_classes={num_classes}: a softmax over one class is 1 everywhere, and nothing is learned. Make '
                "the background a class of its own: classes=('background', ...), num_classes=2, masks of 0 and 1. The "
                'head has one logit with out_channels=1 and a loss with use_sigmoid=True.'
            )
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.reduce_zero_label = reduce_zero_label
        self.backend_args = backend_args
        self.dtype = np.uint8 if max(num_classes - 1, ignore_index) < 256 else np.uint16

    def transform(self, results: dict) -> dict:
        path = results['seg_map_path']
        labels = self._combined(results) if 'class_masks' in results else self._indices(path, results)
        if results.get('coarse_masks'):
            labels = enlarged(labels, results.get('ori_shape'))
        check_size(path, labels, results)
        found = distinct_labels(labels)
        reduce_zero_label = self._reduces_zero_label(results)
        meant = self._meaning(found, reduce_zero_label, results.get('label_map') or {})
        self._check_range(path, found, meant, reduce_zero_label)
        if not np.array_equal(found, meant):
            table = np.zeros(found[-1] + 1, self.dtype)
            table[found] = meant
            labels = table[labels]
        results['gt_seg_map'] = labels.astype(self.dtype, copy=False)
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    def _stored(self, path: str, in_colors: bool = False) -> np.ndarray:
        data = read_bytes(path, 'label map', self.backend_args)
        check_pixels(path, pixels_in_header(data))
        return decode_labels(path, data, in_colors)

    def _indices(self, path: str, results: Mapping[str, Any]) -> np.ndarray:
        """The indices of one file, (H, W): as stored, or those that the dataset gives to its colors."""
        labels = self._stored(path, in_colors='label_colors' in results)
        if results.get('equal_channels'):
            labels = as_colors(labels)
        if 'label_colors' in results:
            labels = indices_of_colors(path, labels, results['label_colors'])
        check_is_index_map(path, labels)
        return labels

    def _combined(self, results: Mapping[str, Any]) -> np.ndarray:
        """One label map of the masks of each class, (H, W); a pixel of several classes belongs to the last."""
        combined: np.ndarray | None = None
        for label, path in results['class_masks']:
            mask = as_colors(self._stored(path))
            check_is_index_map(path, mask)
            combined = np.zeros(mask.shape, np.uint8) if combined is None else combined
            if mask.shape != combined.shape:
                raise ValueError(
                    f"The mask '{path}' is {mask.shape}, those of other classes are {combined.shape} (H, W)."
                )
            combined[mask > 0] = label
        assert combined is not None, 'a dataset lists at least one mask for each image'
        return combined

    def _reduces_zero_label(self, results: Mapping[str, Any]) -> bool:
        ours, theirs = self.reduce_zero_label, results.get('reduce_zero_label')
        if ours is not None and theirs is not None and ours != theirs:
            raise ValueError(
                f'reduce_zero_label is {ours} in LoadSegmentation and {theirs} in the dataset. '
                'Set it in the dataset, and leave it out here or set it to the same.'
            )
        return bool(theirs if ours is None else ours)

    def _meaning(self, found: np.ndarray, reduce_zero_label: bool, label_map: Mapping[int, int]) -> np.ndarray:
        """The class index that each label of a file, (n,) ascending, stands for."""
        meant = found.copy()
        if reduce_zero_label:
            meant = np.where((found == 0) | (found == self.ignore_index), self.ignore_index, found - 1)
        if label_map:
            renamed = [label_map.get(int(label), int(label)) for label in meant]
            meant = np.array([self.ignore_index if label == DROPPED else label for label in renamed], np.int64)
        return meant

    def _check_range(self, path: str, found: np.ndarray, meant: np.ndarray, reduce_zero_label: bool) -> None:
        illegal = found[(meant != self.ignore_index) & ((meant < 0) | (meant >= self.num_classes))]
        if not illegal.size:
            return
        last = self.num_classes - 1 + reduce_zero_label
        if not reduce_zero_label and found[0] > 0 and illegal[0] == self.num_classes:
            advice = 'The labels seem to count from 1: set reduce_zero_label=True in the dataset.'
        else:
            advice = (
                f'Correct num_classes={self.num_classes} if there are more classes, '
                f'or write {self.ignore_index} where a pixel belongs to none.'
            )
        raise ValueError(
            f"'{path}' has labels {listed(illegal)}; legal are 0 to {last} and {self.ignore_index}, which is ignored. "
            f'All labels in the file: {listed(found)}. {advice}'
        )

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_classes={self.num_classes}, ignore_index={self.ignore_index}, '
            f'reduce_zero_label={self.reduce_zero_label}, backend_args={self.backend_args})'
        )


def decode_labels(path: str, data: bytes, in_colors: bool = False) -> np.ndarray:
    """Indices as stored, (H, W), or (H, W, channels) for a file that is no index map.

    in_colors: give the colors of a file with a palette, (H, W, 3), instead of its indices.
    """
    try:
        with Image.open(BytesIO(data)) as image:
            labels = np.array(image.convert('RGB') if in_colors and image.mode == 'P' else image)
            return labels.astype(np.uint8) if labels.dtype == bool else labels
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        reason = 'it is no image' if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(
            f"The label map '{path}' ({len(data)} bytes) cannot be decoded: {reason}. "
            'Label maps are single-channel PNG files; fetch the file again or convert it.'
        ) from error


def palette_of(data: bytes) -> list[tuple[int, int, int]]:
    """The colors of the indices of an image with a palette; none for other images, and where they are gray levels."""
    with Image.open(BytesIO(data)) as image:
        values = (image.getpalette() or []) if image.mode == 'P' else []
    colors = list(zip(values[::3], values[1::3], values[2::3], strict=True))
    return [] if all(color == (i, i, i) for i, color in enumerate(colors)) else colors


def as_colors(labels: np.ndarray) -> np.ndarray:
    """(H, W, 3) without transparency, or (H, W) where all channels are equal."""
    if labels.ndim == 2:
        return labels
    colors = labels[..., :1] if labels.shape[2] == 2 else labels[..., :3]
    return colors[..., 0] if (colors == colors[..., :1]).all() else colors


def indices_of_colors(path: str, labels: np.ndarray, table: Sequence[tuple[int, int, int, int]]) -> np.ndarray:
    """The class of each pixel of (H, W, 3), or of gray (H, W), by a table of (red, green, blue, class).

    Raises ValueError, which lists them, for colors that the table lacks.
    """
    colors = labels if labels.ndim == 3 else np.repeat(labels[..., None], 3, 2)
    codes, places = np.unique(colors.astype(np.int64) @ (1 << 16, 1 << 8, 1), return_inverse=True)
    known = {red << 16 | green << 8 | blue: label for red, green, blue, label in table}
    unknown = [(int(c) >> 16, int(c) >> 8 & 255, int(c) & 255) for c in codes if int(c) not in known]
    if unknown:
        raise ValueError(f"The label map '{path}' has colors that no class has: {', '.join(map(str, unknown[:8]))}.")
    return np.array([known[int(code)] for code in codes])[places].reshape(labels.shape[:2])


def enlarged(labels: np.ndarray, size: Sequence[int] | None) -> np.ndarray:
    """Labels (H, W) of an image of a whole multiple of their size, at the image's size; of others as they are."""
    factor = size[0] // labels.shape[0] if size is not None else 1
    if size is None or tuple(size[:2]) != (factor * labels.shape[0], factor * labels.shape[1]):
        return labels
    return labels.repeat(factor, 0).repeat(factor, 1)


def check_is_index_map(path: str, labels: np.ndarray) -> None:
    """One channel of whole numbers."""
    if labels.ndim == 3:
        channels = labels.shape[2]
        colors = len(np.unique(labels.reshape(-1, channels), axis=0))
        if channels == 2:
            advice = 'Remove the alpha channel.'
        elif (labels[..., :1] == labels[..., :3]).all():
            advice = 'Its color channels are equal: store one of them.'
        else:
            advice = 'It seems to be a color mask: replace each color by the index of its class.'
        raise ValueError(
            f"The label map '{path}' has {channels} channels, shape {labels.shape}, with {colors} distinct colors; "
            f'one channel of class indices is legal. {advice}'
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"The label map '{path}' holds {labels.dtype} values from {labels.min():g} to {labels.max():g}; "
            'whole numbers are legal. Store class indices in an 8- or 16-bit PNG file.'
        )


def check_size(path: str, labels: np.ndarray, results: Mapping[str, Any]) -> None:
    """The label map is as large as the image was when it was read; nothing to compare where none was."""
    size = results.get('ori_shape')
    if size is not None and tuple(size[:2]) != labels.shape:
        advice = 'Pair the right files, or resize the labels with nearest-neighbor interpolation.'
        if tuple(size[:2]) == labels.shape[::-1]:
            advice = 'One is turned: store both upright, or load the image with apply_orientation=False.'
        raise ValueError(
            f"The label map '{path}' is {labels.shape[0]} x {labels.shape[1]} (H x W), "
            f"its image '{results.get('img_path')}' {size[0]} x {size[1]}. {advice}"
        )


def distinct_labels(labels: np.ndarray) -> np.ndarray:
    """The labels that occur, (n,) int64, ascending."""
    if labels.dtype in COUNTED_DTYPES:
        return np.flatnonzero(np.bincount(labels.ravel()))
    return np.unique(labels).astype(np.int64)


def listed(labels: np.ndarray, most: int = 10) -> str:
    text = ', '.join(str(label) for label in labels[:most])
    return text if len(labels) <= most else f'{text} ... ({len(labels)} in all)'
