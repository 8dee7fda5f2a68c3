"""Fashionpedia: pieces of clothing with what they are like, https://arxiv.org/abs/2004.12276; and any COCO file whose
objects have attributes.

Legend: n objects of an image, A attributes.
"""

from typing import Any, ClassVar

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.api_wrappers import COCO
from mmdet.datasets.transforms import PackDetInputs

from denseformer.datasets.detection.coco import CocoDataset
from denseformer.registry import DATASETS, TRANSFORMS


@DATASETS.register_module()
class AttributeDataset(CocoDataset):
    """Instances of a COCO json file that lists `attributes` (`id` and `name`) and gives objects `attribute_ids`.

    attributes: their names, in the order of their ids; an object's are indices into it. Predictions name them where
    `metainfo` has them as `attributes`, too.

    Args:
        options: as in `CocoDataset`.

    Raises ValueError for a file without attributes, with others than `metainfo`, or with objects of unlisted ones.
    """

    attributes: tuple[str, ...] = ()
    attribute_index: dict[int, int]

    def COCOAPI(self, path: str) -> COCO:  # noqa: N802 -- mmdetection's name of what reads the file
        content = super().COCOAPI(path)
        rows = attribute_rows(content.dataset, path)
        self.attributes = tuple(row['name'] for row in rows)
        self.attribute_index = {row['id']: i for i, row in enumerate(rows)}
        named = self.metainfo.get('attributes')
        if named and tuple(named) != self.attributes:
            raise ValueError(
                f"'{path}' lists {len(rows)} attributes, {', '.join(self.attributes[:8])} ..., which are not "
                f'those of metainfo, {len(named)}: {", ".join(named[:8])} ....'
            )
        return content

    def parse_data_info(self, raw_data_info: dict) -> dict:
        info = super().parse_data_info({**raw_data_info, 'raw_ann_info': []})
        for row in raw_data_info['raw_ann_info']:
            taken = super().parse_data_info({**raw_data_info, 'raw_ann_info': [row]})['instances']  # one or none
            info['instances'] += [{**instance, 'attributes': self.indices(row)} for instance in taken]
        return info

    def indices(self, row: dict) -> list[int]:
        try:
            return sorted(self.attribute_index[each] for each in row.get('attribute_ids') or ())
        except KeyError as error:
            raise ValueError(
                f"'{self.ann_file}': annotation {row['id']} has attribute {error}, which is not in 'attributes'."
            ) from error


def attribute_rows(content: dict, path: str) -> list[dict]:
    """The entries of a file's `attributes`, by id."""
    rows = content.get('attributes')
    if not rows:
        raise ValueError(f"'{path}' lists no 'attributes': for objects without them use denseformer.CocoDataset.")
    return sorted(rows, key=lambda row: row['id'])


@DATASETS.register_module()
class FashionpediaDataset(AttributeDataset):
    """Fashionpedia's 46 classes, 27 of garments and accessories and 19 of their parts, and 294 attributes."""

    METAINFO: ClassVar[dict] = dict(
        classes=(
            *('shirt, blouse', 'top, t-shirt, sweatshirt', 'sweater', 'cardigan', 'jacket', 'vest', 'pants', 'shorts'),
            *('skirt', 'coat', 'dress', 'jumpsuit', 'cape', 'glasses', 'hat'),
            *('headband, head covering, hair accessory', 'tie', 'glove', 'watch', 'belt', 'leg warmer'),
            *('tights, stockings', 'sock', 'shoe', 'bag, wallet', 'scarf', 'umbrella', 'hood', 'collar', 'lapel'),
            *('epaulette', 'sleeve', 'pocket', 'neckline', 'buckle', 'zipper', 'applique', 'bead', 'bow', 'flower'),
            *('fringe', 'ribbon', 'rivet', 'ruffle', 'sequin', 'tassel'),
        )
    )


@TRANSFORMS.register_module()
class LoadAttributes(BaseTransform):
    """Put the attributes of each object beside its class: `gt_bboxes_labels` becomes (n, 1 + A).

    Stands behind `LoadInstances`. Transforms that choose among objects, or join those of two images, so treat both
    alike; `PackAttributes` parts them again.

    Args:
        num_attributes: A.

    Raises ValueError for objects with attributes beyond A, and for a dataset that reads none.
    """

    def __init__(self, *, num_attributes: int):
        self.num_attributes = num_attributes

    def transform(self, results: dict) -> dict:
        labels = results['gt_bboxes_labels']
        marks = np.zeros((len(labels), self.num_attributes), np.int64)
        for mark, instance in zip(marks, results['instances'], strict=True):
            if 'attributes' not in instance:
                raise ValueError('LoadAttributes needs a denseformer.AttributeDataset: this one reads no attributes.')
            beyond = [i for i in instance['attributes'] if i >= self.num_attributes]
            if beyond:
                raise ValueError(
                    f"'{results['img_path']}' has attributes {beyond}, and num_attributes={self.num_attributes}: set "
                    'it to what the annotation file lists.'
                )
            mark[instance['attributes']] = 1
        results['gt_bboxes_labels'] = np.column_stack([labels, marks])
        return results


@TRANSFORMS.register_module()
class PackAttributes(PackDetInputs):
    """mmdetection's `PackDetInputs`, with the attributes that `LoadAttributes` put beside classes.

    They become `gt_instances.attributes`, (n, A) of 0 and 1.
    """

    mapping_table: ClassVar[dict] = {**PackDetInputs.mapping_table, 'gt_attributes': 'attributes'}

    def transform(self, results: dict) -> dict:
        rows: Any = results['gt_bboxes_labels']
        return super().transform({**results, 'gt_bboxes_labels': rows[:, 0], 'gt_attributes': rows[:, 1:]})
