"""mmdetection's COCO datasets with class names that are matched, where theirs drop the boxes of names that are not."""

from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from mmdet.datasets import ade20k, cityscapes, coco, coco_panoptic
from mmdet.datasets.api_wrappers import COCO
from mmseg.datasets import CityscapesDataset as CityscapesSemantics

from denseformer.datasets.detection.copy_paste import CopyPaste
from denseformer.detection.annotation_files import (
    check_some_left,
    check_things,
    match_categories,
    name_panoptic_maps,
)
from denseformer.detection.coco_content import check_content, count_objects, log_left_out, reading_named
from denseformer.registry import DATASETS

NO_OUTLINE: list[list[float]] = [[]]  # mmdetection drops what is false, and fails where a mask is asked for
ANY_PLACE = {'bbox': [0, 0, 1, 1], 'area': 1}
"""Place of a segment whatever the json says: box and area follow from the map, when it is read."""
STREET_CLASSES, STREET_PALETTE = CityscapesSemantics.METAINFO['classes'], CityscapesSemantics.METAINFO['palette']
STREET_STUFF = 11  # the first classes; the other eight are things


@DATASETS.register_module()
class CocoDataset(coco.CocoDataset):
    """Boxes and masks of a COCO json file; label i is the class of that name, in whatever order the file lists them.

    Annotations are checked and completed as `check_content` does. An object whose mask is empty in the file is ignored
    where masks are read; objects that are left out or ignored are counted, by reason, in one line of the log.

    object_counts: how many annotations of the file are taken (under '') and left out, by reason.

    Args:
        subset: take the boxes of the dataset's classes and leave others out; otherwise others are an error.
        The others are described in mmdetection's `CocoDataset`.

    Raises ValueError, which lists both sides, where the file and the dataset disagree on class names, and for a file
    that `check_content` refuses.
    """

    def __init__(self, *, subset: bool = False, **options: Any):
        self.subset = subset
        self.object_counts: Counter[str] = Counter()
        super().__init__(**options)

    def full_init(self) -> None:
        super().full_init()
        for step in self.pipeline.transforms:
            if isinstance(step, CopyPaste):
                step.dataset = self

    def load_data_list(self) -> list[dict]:
        try:
            return super().load_data_list()
        except KeyError as error:
            raise ValueError(f"'{self.ann_file}': an image, category or annotation has no {error}. Add it.") from error

    def filter_data(self) -> list[dict]:
        left = super().filter_data()
        check_some_left(left, self.data_list, self.ann_file)
        return left

    def COCOAPI(self, path: str) -> COCO:  # noqa: N802 -- mmdetection's name of what reads the file
        with redirect_stdout(None), reading_named(path):  # pycocotools reports each step
            content = super().COCOAPI(path)
        check_content(content.dataset, file=path, images=self.data_prefix.get('img') or '')
        match_categories(content, self.metainfo['classes'], file=path, subset=self.subset)
        self.count_objects(content)
        for annotation in content.dataset.get('annotations', ()):
            if not annotation.get('segmentation', True):
                annotation['segmentation'] = NO_OUTLINE
        return content

    def count_objects(self, content: COCO) -> None:
        self.object_counts = count_objects(content.dataset, content.get_cat_ids(cat_names=self.metainfo['classes']))
        log_left_out(self.ann_file, self.object_counts)


@DATASETS.register_module()
class CityscapesDataset(CocoDataset, cityscapes.CityscapesDataset):
    """Cityscapes' eight classes of things, as mmdetection's converter writes them to a COCO json file."""


@DATASETS.register_module()
class ADE20KInstanceDataset(CocoDataset, ade20k.ADE20KInstanceDataset):
    """ADE20K's hundred classes of things, as Mask2Former's `prepare_ade20k_ins_seg.py` writes them."""


@DATASETS.register_module()
class CocoPanopticDataset(CocoDataset, coco_panoptic.CocoPanopticDataset):
    """Things and stuff of a COCO panoptic json file, whose maps are found by the names that the file gives them.

    Training samples know the dataset, as `dataset`: transforms take parts of other images.
    """

    def prepare_data(self, idx: int) -> Any:
        info = self.get_data_info(idx)
        return self.pipeline(info if self.test_mode else {**info, 'dataset': self})

    def COCOAPI(self, path: str) -> COCO:  # noqa: N802
        content = super().COCOAPI(path)
        check_things(content.dataset['categories'], self.metainfo, file=path)
        name_panoptic_maps(content)
        return content

    def count_objects(self, content: COCO) -> None:
        classes = content.get_cat_ids(cat_names=self.metainfo['classes'])
        segments = [segment for row in content.dataset['annotations'] for segment in row['segments_info']]
        self.object_counts = Counter('' if row['category_id'] in classes else 'of other classes' for row in segments)
        log_left_out(self.ann_file, self.object_counts)

    def parse_data_info(self, raw_data_info: dict) -> dict:
        image, segments = raw_data_info['raw_img_info'], raw_data_info['raw_ann_info']
        named = [{**row, **ANY_PLACE} for row in segments if row['category_id'] in self.cat2label]
        info = super().parse_data_info({'raw_img_info': image, 'raw_ann_info': named})
        info['listed_ids'] = [segment['id'] for segment in segments]
        if info['seg_map_path']:
            info['seg_map_path'] = str(Path(self.data_prefix['seg'], image['segm_file']))
        return info


@DATASETS.register_module()
class ADE20KPanopticDataset(CocoPanopticDataset):
    """ADE20K's 100 things, then 50 stuff classes, as Mask2Former's `prepare_ade20k_pan_seg.py` names them."""

    METAINFO: dict = {  # noqa: RUF012
        key: tuple('plane' if name == 'airplane' else name for name in names)
        for key, names in ade20k.ADE20KPanopticDataset.METAINFO.items()
    }


@DATASETS.register_module()
class CityscapesPanopticDataset(CocoPanopticDataset):
    """Cityscapes' 8 things, then 11 stuff classes, as the publisher's `csCreatePanopticImgs` writes them.

    `data_prefix`: 'img' is the folder of the cities' folders, 'seg' the one beside the json file.
    """

    METAINFO: dict = {  # noqa: RUF012
        'classes': (*STREET_CLASSES[STREET_STUFF:], *STREET_CLASSES[:STREET_STUFF]),
        'thing_classes': STREET_CLASSES[STREET_STUFF:],
        'stuff_classes': STREET_CLASSES[:STREET_STUFF],
        'palette': [*STREET_PALETTE[STREET_STUFF:], *STREET_PALETTE[:STREET_STUFF]],
    }

    def parse_data_info(self, raw_data_info: dict) -> dict:
        info = super().parse_data_info(raw_data_info)
        city = info['img_id'].partition('_')[0]
        info['img_path'] = str(Path(self.data_prefix['img'], city, f'{info["img_id"]}_leftImg8bit.png'))
        return info
