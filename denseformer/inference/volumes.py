"""Predicting on volumes slice by slice: the masks of the slices become a volume of labels again.

Legend: Z slices, H W slice.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from denseformer.images.volumes import read_volume, write_labels
from denseformer.inference.predictor import Predictor
from denseformer.inference.results import SegmentationResult, shares_of
from denseformer.inference.sources import SourceItem, slice_items
from denseformer.inference.writers import OutputFolder


def predict_volume(predictor: Predictor, item: SourceItem, folder: OutputFolder) -> dict[str, Any]:
    """Predict on a NIfTI file into the folder of a run, `masks/<name>.nii.gz`; returns its entry in the record.

    The mask lies where the volume does in the scanner. Raises ValueError for a model that is no segmentor.
    """
    volume = read_volume(item.file)
    masks: list[np.ndarray] = []
    classes: Sequence[str] = ()
    for image in slice_items(item, volume, predictor.window):
        (result,) = predictor.task.predict([predictor.task.prepare(image)])
        if not isinstance(result, SegmentationResult):
            raise ValueError(f"'{item.path}' is a volume: only segmentors predict on volumes.")
        masks.append(result.mask)
        classes = result.classes
        folder.notify(len(masks) / len(volume.values))
    labels = np.stack(masks)  # (Z, H, W)
    name = f'masks/{item.stem}.nii.gz'
    folder.file(name, lambda path: write_labels(path, labels, volume))
    shares = shares_of(np.bincount(labels.ravel(), minlength=len(classes)), classes)
    height, width = labels.shape[1:]
    return {'height': height, 'width': width, 'slices': len(labels), 'classes': shares, 'mask': name}
