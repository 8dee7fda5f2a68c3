"""Slices of volumes (NIfTI files) as samples of semantic segmentation, and how they are read.

Reading a slice decodes its volume, of which a process keeps the last one: in training, large volumes are faster as
slices in files of their own.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.datasets import BaseSegDataset

from denseformer.datasets.segmentation.label_maps import LoadSegmentation
from denseformer.images.volumes import as_gray, open_volume, read_volume, spacing_of
from denseformer.registry import DATASETS, TRANSFORMS


@DATASETS.register_module()
class VolumeDataset(BaseSegDataset):
    """The slices of volumes and of their labels; `LoadImageSlice` and `LoadLabelSlice` read them.

    A sample knows `slice`, its number among the `slices` of its volume, and `spacing`, the millimeters between voxels
    along Z, H, W.

    Args:
        img_suffix, seg_map_suffix: what the names of a volume and of its labels end in.
        options: of mmsegmentation's `BaseSegDataset`; `ann_file` lists names without suffix, and without it all volumes
            of the folder are taken.
    """

    def __init__(self, *, img_suffix: str = '.nii.gz', seg_map_suffix: str = '.nii.gz', **options: Any):
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **options)

    def load_data_list(self) -> list[dict]:
        return [sample for volume in self.load_volumes() for sample in slices_of(volume)]

    def load_volumes(self) -> list[dict]:
        """A row for each volume, as of an image."""
        return super().load_data_list()


def slices_of(volume: dict) -> list[dict]:
    image = open_volume(volume['img_path'])
    facts = {'slices': image.shape[2], 'spacing': spacing_of(image)}
    return [{**volume, **facts, 'slice': z} for z in range(image.shape[2])]


@DATASETS.register_module()
class ACDCDataset(VolumeDataset):
    """Hearts in magnetic resonance at two moments of a beat, as published: `patient<n>/patient<n>_frame<m>.nii.gz` and
    `..._gt.nii.gz`, https://www.creatis.insa-lyon.fr/Challenge/acdc/. 100 patients have labels.

    Args:
        split: 'train', 'val' or 'test': 70, 10 and 20 of those patients, the division that papers share.
        data_root: the folder of the patients' folders.
        options: of `VolumeDataset`.
    """

    METAINFO: ClassVar[dict] = dict(
        classes=('background', 'right ventricle', 'myocardium', 'left ventricle'),
        palette=[[0, 0, 0], [66, 135, 245], [90, 200, 90], [230, 80, 80]],
    )
    TEST = frozenset({2, 3, 8, 9, 12, 14, 17, 24, 42, 48, 49, 53, 55, 64, 67, 79, 81, 88, 92, 95})
    VAL = frozenset({89, 90, 91, 93, 94, 96, 97, 98, 99, 100})

    def __init__(self, *, split: str, **options: Any):
        if split not in ('train', 'val', 'test'):
            raise ValueError(f"split of ACDCDataset is 'train', 'val' or 'test', not {split!r}.")
        self.split = split
        super().__init__(data_prefix=dict(img_path='', seg_map_path=''), **options)

    def load_volumes(self) -> list[dict]:
        frames = (row for row in super().load_volumes() if re.search(r'patient\d+_frame\d+\.nii\.gz$', row['img_path']))
        return [
            {**row, 'seg_map_path': row['img_path'].replace('.nii.gz', '_gt.nii.gz')}
            for row in frames
            if self.split == self.split_of(row['img_path'])
        ]

    @classmethod
    def split_of(cls, path: str) -> str:
        patient = int(Path(path).name[len('patient') :].partition('_')[0])
        return 'test' if patient in cls.TEST else 'val' if patient in cls.VAL else 'train'


@TRANSFORMS.register_module()
class LoadImageSlice(BaseTransform):
    """Read the slice `slice` of the volume `img_path` as a gray image (H, W, 3) uint8.

    window: the values of the volume that become black and white, as (-125, 275) Hounsfield units; None for the least
    and the greatest of each volume.
    """

    def __init__(self, window: Sequence[float] | None = None):
        self.window = window

    def transform(self, results: dict) -> dict:
        volume = read_volume(results['img_path'])
        gray = as_gray(volume.values[results['slice']], self.window or volume.range)
        results['img'] = np.repeat(gray[..., None], 3, 2)
        results['img_shape'] = results['ori_shape'] = gray.shape
        return results


@TRANSFORMS.register_module()
class LoadLabelSlice(LoadSegmentation):
    """Read the slice `slice` of the labels `seg_map_path`, as strictly as `LoadSegmentation` reads label maps."""

    def _indices(self, path: str, results: dict) -> np.ndarray:
        volume = read_volume(path).values
        if len(volume) != results['slices']:
            raise ValueError(
                f"The labels '{path}' have {len(volume)} slices, their volume '{results.get('img_path')}' "
                f'{results["slices"]}. Pair the right files.'
            )
        values = volume[results['slice']]
        labels = np.round(values).astype(np.int64)
        if not np.array_equal(labels, values):
            raise ValueError(f"The labels '{path}' hold fractions; whole numbers are legal.")
        return labels
