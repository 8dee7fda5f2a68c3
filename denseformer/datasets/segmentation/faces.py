"""Parts of faces: CelebAMask-HQ, https://arxiv.org/abs/1907.11922, and LaPa, https://arxiv.org/abs/2001.05236.

Left and right are the person's, so a mirrored image needs its sides exchanged: `swap_seg_labels` of `RandomFlip`.
"""

import re
from pathlib import Path
from typing import Any, ClassVar

from mmengine.fileio import list_dir_or_file
from mmseg.datasets import BaseSegDataset

from denseformer.datasets.segmentation.listed_names import folders_named
from denseformer.images.reading import read_bytes
from denseformer.registry import DATASETS

PARTS = (
    *('skin', 'nose', 'eye_g', 'l_eye', 'r_eye', 'l_brow', 'r_brow', 'l_ear', 'r_ear', 'mouth', 'u_lip', 'l_lip'),
    *('hair', 'hat', 'ear_r', 'neck_l', 'neck', 'cloth'),
)
"""CelebAMask-HQ's parts by the names of their files, in the order in which later ones cover earlier ones; 0 is the
background."""
LAPA = (
    *('background', 'skin', 'left eyebrow', 'right eyebrow', 'left eye', 'right eye', 'nose', 'upper lip'),
    *('inner mouth', 'lower lip', 'hair'),
)
LAPA_PARTS = dict(skin=1, l_brow=2, r_brow=3, l_eye=4, r_eye=5, nose=6, u_lip=7, mouth=8, l_lip=9, hair=10)
"""CelebAMask-HQ's parts -> LaPa's class; the others are its background."""
MASK = re.compile(rf'(\d+)_({"|".join(PARTS)})')
"""Name of a mask: the image's number, the part."""
MAPPED = re.compile(r'(\d+)\s+(\d+)\s+\S+')
"""Line of the mapping: numbers of an image here and in CelebA, its file there."""
DESCRIBED = re.compile(r'(\d+)\.jpg((?:\s+-?1)+)')
"""Line of attributes: an image's number, 1 or -1 for each."""
SPLITS = {'train': range(162_771), 'val': range(162_771, 182_638), 'test': range(182_638, 202_600)}
"""Numbers that CelebA gives the images of its splits, from 0."""


@DATASETS.register_module()
class LaPaDataset(BaseSegDataset):
    """LaPa's 11 classes: `images/*.jpg` and `labels/*.png` of a split's folder.

    Args:
        options: of mmsegmentation's `BaseSegDataset`; `data_prefix` names both folders.
    """

    METAINFO: ClassVar[dict] = dict(classes=LAPA)

    def __init__(self, **options: Any):
        super().__init__(img_suffix='.jpg', seg_map_suffix='.png', **options)


@DATASETS.register_module()
class CelebAMaskHQDataset(BaseSegDataset):
    """CelebAMask-HQ as it is published: a mask of half the image's size for each part of a face.

    Images are split as in CelebA, by `CelebA-HQ-to-CelebA-mapping.txt`. Each has the meta key `face`, with the 40
    `attributes` of `CelebAMask-HQ-attribute-anno.txt`, which FaceXFormer learns.

    Args:
        split: 'train', 'val' or 'test'.
        options: of mmsegmentation's `BaseSegDataset`; `data_root` is the folder that the archive unpacks to.

    Raises ValueError for a split that there is not, an image without masks or attributes, and a mask or a line of a
    table that is not as published.
    """

    METAINFO: ClassVar[dict] = dict(classes=('background', *PARTS))
    labels: ClassVar[dict[str, int]] = {part: i for i, part in enumerate(PARTS, 1)}
    attribute_names: tuple[str, ...] = ()

    def __init__(self, *, split: str, **options: Any):
        if split not in SPLITS:
            raise ValueError(f"split of CelebAMask-HQ is 'train', 'val' or 'test', got '{split}'.")
        self.split = split
        super().__init__(**options)

    def load_data_list(self) -> list[dict]:
        root = self.data_root or ''
        masks = self.masks(f'{root}/CelebAMask-HQ-mask-anno')
        attributes = self.attributes(f'{root}/CelebAMask-HQ-attribute-anno.txt')
        infos = []
        for number in self.numbers(f'{root}/CelebA-HQ-to-CelebA-mapping.txt'):
            path = f'{root}/CelebA-HQ-img/{number}.jpg'
            parts = masks.get(number)
            if not parts:
                raise ValueError(f"'{path}' has no masks below CelebAMask-HQ-mask-anno: unpack the archive again.")
            if number not in attributes:
                raise ValueError(f"'{path}' has no line in CelebAMask-HQ-attribute-anno.txt: unpack the archive again.")
            infos.append(
                {
                    'img_path': path,
                    'seg_map_path': parts[0][1],
                    'class_masks': parts,
                    'coarse_masks': True,
                    'face': {'attributes': attributes[number]},
                    'label_map': self.label_map,
                    'reduce_zero_label': False,
                    'seg_fields': [],
                }
            )
        return infos

    def numbers(self, path: str) -> list[int]:
        """The images of the split, by a table of their numbers here and in CelebA below a line of titles."""
        rows = [fields(line, MAPPED, path) for line in self.lines(path)[1:]]
        return [int(number) for number, original in rows if int(original) in SPLITS[self.split]]

    def masks(self, root: str) -> dict[int, list[tuple[int, str]]]:
        """Number of an image -> the classes and files of its parts, in the order in which they cover one another."""
        found: dict[int, dict[str, str]] = {}
        with folders_named():
            names = list(list_dir_or_file(root, list_dir=False, suffix='.png', recursive=True))
        for name in names:
            number, part = fields(Path(name).stem, MASK, f'{root}/{name}')
            found.setdefault(int(number), {})[part] = f'{root}/{name}'
        return {
            number: [(self.labels.get(part, 0), parts[part]) for part in PARTS if part in parts]
            for number, parts in found.items()
        }

    def attributes(self, path: str) -> dict[int, list[int]]:
        """Number of an image -> 1 or 0 for each attribute, from rows of 1 and -1 below their number and names."""
        _, *lines = self.lines(path)
        self.attribute_names = tuple(lines[0].split()) if lines else ()
        found = {}
        for line in lines[1:]:
            number, values = fields(line, DESCRIBED, path)
            marks = [int(value == '1') for value in values.split()]
            if len(marks) != len(self.attribute_names):
                raise ValueError(
                    f"'{path}' names {len(self.attribute_names)} attributes; {number}.jpg has {len(marks)}."
                )
            found[int(number)] = marks
        return found

    def lines(self, path: str) -> list[str]:
        return [line for line in read_bytes(path, 'list', self.backend_args).decode().splitlines() if line.strip()]


@DATASETS.register_module()
class MergedCelebAMaskHQDataset(CelebAMaskHQDataset):
    """CelebAMask-HQ with LaPa's 11 classes, which FaceXFormer has; other parts are background."""

    METAINFO: ClassVar[dict] = LaPaDataset.METAINFO
    labels: ClassVar[dict[str, int]] = LAPA_PARTS


def fields(text: str, form: re.Pattern[str], path: str) -> tuple[str, ...]:
    """The parts of a line or name; raises ValueError, naming its file, for one of another form."""
    match = form.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{path}': '{text[:60]}' is not as published in CelebAMask-HQ. Unpack the archive again.")
    return match.groups()
