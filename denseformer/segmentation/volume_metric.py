"""Dice and the 95th percentile of the Hausdorff distance of volumes that are predicted slice by slice.

The conventions are those of the papers that score Synapse and ACDC, after TransUNet, https://arxiv.org/abs/2102.04306.

Legend: Z slices, H W slice, K classes.
"""

import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from scipy.ndimage import binary_erosion, distance_transform_edt

from denseformer.registry import METRICS

SLICE = re.compile(r'(.+?)_?slice_?(\d+)$')
"""Names of slices in files of their own: case, number."""
EMPTY = {'transunet': (1.0, 0.0), 'strict': (0.0, 1.0)}
"""Dice of a class that a case has not: where it is found, where it is not."""


@METRICS.register_module()
class VolumeMetric(BaseMetric):
    """Means over cases, then over classes but the first, the background: `Dice` in percent, and `HD95`.

    Slices belong to the case of their volume, or, in files of their own, of the path before 'slice' and a number. A
    class that is only in the truth of a case scores 0 and 0. Voxels labelled `ignore_index` belong to no class.

    per_class: class name -> {'Dice', 'HD95'}; per_case: case -> the same, over its classes.

    Args:
        empty: what a class scores that is not in the truth of a case. 'transunet', as in most papers: Dice 1 and HD95 0
            where it is found, 0 and 0 where it is not; 'strict': Dice 0 where it is found, 1 where it is not.
        millimeters: measure distances by the spacing of the samples, which needs it among the pipeline's meta keys;
            the papers count voxels.
        ignore_index: the label of voxels that do not count.
        collect_device: where results of several processes meet, 'cpu' or 'gpu'.

    Raises ValueError for images that are no slices by their names, and for slices of one case that have the same number
    or different sizes.
    """

    def __init__(
        self,
        *,
        empty: str = 'transunet',
        millimeters: bool = False,
        ignore_index: int = 255,
        collect_device: str = 'cpu',
    ):
        if empty not in EMPTY:
            raise ValueError(f"VolumeMetric has no convention '{empty}' for empty masks. Known: {', '.join(EMPTY)}.")
        super().__init__(collect_device)
        self.empty = empty
        self.millimeters = millimeters
        self.ignore_index = ignore_index
        self.per_class: dict[str, dict[str, float]] = {}
        self.per_case: dict[str, dict[str, float]] = {}

    def process(self, data_batch: Any, data_samples: Sequence[Mapping]) -> None:
        for sample in data_samples:
            case, number = place_of(sample)
            if self.millimeters and 'spacing' not in sample:
                raise ValueError("millimeters=True: let PackSegInputs' meta_keys have 'spacing', as volumes have.")
            spacing = sample['spacing'] if self.millimeters else (1.0, 1.0, 1.0)
            found, true = (
                sample[name]['data'][0].cpu().numpy().astype(np.uint16) for name in ('pred_sem_seg', 'gt_sem_seg')
            )
            found[true == self.ignore_index] = true[true == self.ignore_index] = 0
            packed = [zlib.compress(labels.tobytes(), 1) for labels in (found, true)]
            self.results.append((case, number, found.shape, spacing, *packed))

    def compute_metrics(self, results: list) -> dict[str, float]:
        cases = defaultdict(list)
        for case, *rest in results:
            cases[case].append(rest)
        for case, slices in cases.items():
            check_slices(case, slices)
        classes = self.dataset_meta['classes'][1:]
        scores = np.array(
            [score_case(slices, len(classes), self.empty) for slices in cases.values()]
        )  # (cases, K - 1, 2)
        self.per_class = {name: named(pair) for name, pair in zip(classes, scores.mean(0), strict=True)}
        self.per_case = {name: named(pair) for name, pair in zip(short_names(cases), scores.mean(1), strict=True)}
        return named(scores.mean((0, 1)))


def named(pair: np.ndarray) -> dict[str, float]:
    return {'Dice': round(100 * float(pair[0]), 2), 'HD95': round(float(pair[1]), 3)}


def place_of(sample: Mapping[str, Any]) -> tuple[str, int]:
    """The case of a slice, and its number; raises ValueError for a name that tells none."""
    path = PurePath(sample['img_path'])
    if 'slice' in sample:
        return str(path), sample['slice']
    match = SLICE.match(path.stem)
    if match is None:
        raise ValueError(f"'{path}' is no slice by its name, such as case0008_slice012: VolumeMetric scores volumes.")
    return str(path.with_name(match[1])), int(match[2])


def check_slices(case: str, slices: Sequence[Sequence]) -> None:
    """Raise ValueError unless the slices of a case, (number, (H, W), ...), are one volume."""
    numbers = sorted(number for number, *_ in slices)
    twice = [number for number, following in pairwise(numbers) if number == following]
    if twice:
        raise ValueError(f"Slice {twice[0]} of '{case}' comes twice: give each case a name of its own.")
    sizes = sorted({size for _, size, *_ in slices})
    if len(sizes) > 1:
        raise ValueError(f"The slices of '{case}' have different sizes, {sizes[0]} and {sizes[-1]} (H, W).")


def short_names(cases: Iterable[str]) -> list[str]:
    """Names of cases without their folders, where these tell nothing."""
    paths = list(map(PurePath, cases))
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else list(map(str, paths))


def score_case(slices: list, classes: int, empty: str) -> list[tuple[float, float]]:
    """Dice and HD95 of classes 1, 2 ... of a case, from (number, (H, W), spacing, found, true) of its slices."""
    slices = sorted(slices, key=lambda row: row[0])
    found, true = (
        np.stack([np.frombuffer(zlib.decompress(row[i]), np.uint16).reshape(row[1]) for row in slices]) for i in (3, 4)
    )
    return [score_masks(found == k, true == k, slices[0][2], empty) for k in range(1, classes + 1)]


def score_masks(found: np.ndarray, true: np.ndarray, spacing: Sequence[float], empty: str) -> tuple[float, float]:
    """Dice, 0 .. 1, and HD95 of two masks (Z, H, W); HD95 is 0 where one of them is empty."""
    if not true.any():
        return EMPTY[empty][0 if found.any() else 1], 0.0
    if not found.any():
        return 0.0, 0.0
    dice = 2 * (found & true).sum() / (found.sum() + true.sum())
    return float(dice), hausdorff_95(found, true, spacing)


def hausdorff_95(first: np.ndarray, second: np.ndarray, spacing: Sequence[float]) -> float:
    """The 95th percentile of the distances from the surface voxels of each mask (Z, H, W) to those of the other.

    A voxel lies on the surface if one of the voxels at its six faces is not of the mask.
    """
    box = tuple(slice(places.min(), places.max() + 1) for places in np.nonzero(first | second))
    surfaces = [mask & ~binary_erosion(mask) for mask in (first[box], second[box])]
    distances = [
        distance_transform_edt(~other, sampling=spacing)[surface] for surface, other in (surfaces, reversed(surfaces))
    ]
    return float(np.percentile(np.concatenate(distances), 95))
