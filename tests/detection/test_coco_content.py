"""Annotation files of COCO: what is wrong is named with ids, what is missing is derived."""

import json
import re

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, init_default_scope

from denseformer.datasets import CocoDataset
from denseformer.detection.coco_content import check_content, outline_area, outline_box
from denseformer.detection.metrics import CocoMetric

SQUARE = [8, 8, 40, 8, 40, 40, 8, 40]
SIZE = 64, 96  # H, W


def content(count: int = 6, **changes) -> dict:
    """Two images with objects alike, a square of 32 pixels."""
    row = {'category_id': 1, 'iscrowd': 0, 'bbox': [8, 8, 32, 32], 'area': 1024, 'segmentation': [SQUARE], **changes}
    return {
        'images': [{'id': i, 'file_name': f'{i}.png', 'width': 96, 'height': 64} for i in (1, 2)],
        'categories': [{'id': 1, 'name': 'thing'}],
        'annotations': [{'id': i, 'image_id': i % 2 + 1, **row} for i in range(1, count + 1)],
    }


def write(folder, file: dict) -> None:
    for row in file['images']:
        cv2.imwrite(str(folder / f'{row["id"]}.png'), np.zeros((*SIZE, 3), np.uint8))
    (folder / 'a.json').write_text(json.dumps(file))


def built(folder, **options) -> CocoDataset:
    init_default_scope('mmdet')
    files = {'data_root': str(folder), 'ann_file': 'a.json', 'data_prefix': {'img': ''}}
    return DATASETS.build(
        {
            'type': 'denseformer.CocoDataset',
            **files,
            'metainfo': {'classes': ('thing',)},
            'serialize_data': False,
            **options,
        }
    )


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'latin-1'])
def test_a_file_in_another_encoding_than_utf_8_is_named_with_the_remedy(encoding, tmp_path):
    write(tmp_path, content())
    text = json.dumps({'info': 'Straße', **content()}, ensure_ascii=False)
    (tmp_path / 'a.json').write_text(text, encoding=encoding)
    with pytest.raises(ValueError, match=r"a\.json' is .*encoded as .*Save it .*without BOM"):
        built(tmp_path)


def renumbered() -> dict:
    file = content()
    for row in file['annotations']:
        row['id'] = 1 + row['id'] % 3
    return file


def with_text_ids() -> dict:
    file = content()
    for row in file['annotations']:
        row['image_id'] = str(row['image_id'])
    return file


def with_backslashes() -> dict:
    file = content()
    for row in file['images']:
        row['file_name'] = 'images\\' + row['file_name']
    return file


def with_images_twice() -> dict:
    file = content()
    return {**file, 'images': file['images'] * 2}


FAULTS = {
    'annotation ids twice': (renumbered, r"a\.json': annotation ids 2, 3, 1 occur more than once"),
    'image ids twice': (with_images_twice, r"a\.json': image ids 1, 2 occur more than once"),
    'ids as text': (with_text_ids, r"annotations have image_id '1', '2'.* ids are 1, 2\. Write both alike"),
    'backslashes': (with_backslashes, r"file_name has backslashes: 'images\\+1\.png', 'images\\+2\.png'\. Write '/'"),
    'a flat polygon': (
        lambda: content(segmentation=SQUARE),
        r"a\.json': annotation 1, 2, 3, 4, 5 and 1 more has a polygon that is not in a list: write \[\[x1",
    ),
    'runs that end early': (
        lambda: content(segmentation={'size': SIZE, 'counts': [100, 32]}),
        r'annotation 1, 2, 3, 4, 5 and 1 more has runs of 132 pixels in all for a mask of 64 x 96 = 6144',
    ),
    'points as pairs': (lambda: content(segmentation=[[[8, 8], [40, 8], [40, 40]]]), 'polygons that are not lists of'),
    'no place': (lambda: content(segmentation=None, bbox=None), r'annotation 1: bbox is None, not four numbers'),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_fault_is_named_with_file_and_ids_by_dataset_and_metric(tmp_path, fault):
    file, words = FAULTS[fault]
    write(tmp_path, file())
    with pytest.raises(ValueError, match=words):
        built(tmp_path)
    if fault != 'backslashes':  # scores need no images
        with pytest.raises(ValueError, match=words):
            check_content(file(), file='a.json')


@pytest.mark.parametrize('area', [0, None, -3, 'large', 96 * 64], ids=str)
def test_an_area_that_cannot_be_is_computed_from_the_outline(tmp_path, area):
    file = content(area=area)
    if area is None:
        for row in file['annotations']:
            del row['area']
    write(tmp_path, file)
    assert [len(built(tmp_path).get_data_info(i)['instances']) for i in range(2)] == [3, 3]
    check_content(file, file='a.json')
    assert {row['area'] for row in file['annotations']} == {1024}


def test_an_area_that_can_be_stays(tmp_path):
    file = content(area=900.5)
    check_content(file, file='a.json')
    assert file['annotations'][0]['area'] == 900.5


def test_a_box_that_is_missing_is_that_of_the_outline(tmp_path):
    file = content()
    for row in file['annotations']:
        del row['bbox']
    write(tmp_path, file)
    assert built(tmp_path).get_data_info(0)['instances'][0]['bbox'] == [8, 8, 40, 40]


def test_boxes_and_areas_of_run_lengths():
    rle = {'size': [4, 5], 'counts': [5, 2, 2, 2, 9]}
    assert outline_box(rle) == [1, 1, 2, 2]
    assert outline_area(rle) == 4


def test_sizes_that_are_missing_are_those_of_the_images(tmp_path):
    file = content()
    for row in file['images']:
        del row['width'], row['height']
    write(tmp_path, file)
    info = built(tmp_path).get_data_info(0)
    assert (info['height'], info['width']) == SIZE
    (tmp_path / '2.png').unlink()
    with pytest.raises(ValueError, match=r"size of '.*2\.png' is neither in the annotations nor in the file"):
        built(tmp_path)


def mixed() -> dict:
    """Annotations of which one can be learned."""
    file = content(6)
    crowd, thin, outside, ignored, strange, _ = file['annotations']
    crowd.update(iscrowd=1, segmentation={'size': SIZE, 'counts': [100, 400, 64 * 96 - 500]})
    thin['bbox'] = [0.1, 0.2, 0.3, 0.3]
    outside['bbox'] = [200, 8, 10, 10]
    ignored['ignore'] = 1
    strange['image_id'] = 77
    return file


def test_objects_that_are_left_out_are_counted_by_reason_and_as_mmdetection_leaves_them_out(tmp_path):
    write(tmp_path, mixed())
    dataset = built(tmp_path)
    rows = [row for i in range(len(dataset)) for row in dataset.get_data_info(i)['instances']]
    assert sum(not row['ignore_flag'] for row in rows) == dataset.object_counts[''] == 1
    assert sum(dataset.object_counts.values()) == 6
    reasons = ' '.join(dataset.object_counts)
    for word in ('crowds', 'less than one pixel', 'outside the image', 'marked to be ignored', 'images not listed'):
        assert word in reasons


def scored(folder, file: dict) -> dict[str, float]:
    """Scores of a perfect prediction of the square in each image."""
    write(folder, file)
    metric = CocoMetric(data_root=str(folder), ann_file='a.json')
    metric.dataset_meta = {'classes': ('thing',)}
    mask = np.zeros(SIZE, bool)
    mask[8:40, 8:40] = True
    found = {'bboxes': torch.tensor([[8.0, 8, 40, 40]]), 'scores': torch.tensor([0.9]), 'labels': torch.tensor([0])}
    found['masks'] = torch.from_numpy(mask[None])
    metric.process({}, [{'img_id': i, 'ori_shape': SIZE, 'pred_instances': found} for i in (1, 2)])
    return metric.evaluate(2)


def test_an_object_without_outline_counts_for_boxes_and_not_for_masks(tmp_path):
    file = content(2)
    assert scored(tmp_path, file)['segm_mAP'] == 1
    file['annotations'][0]['segmentation'] = []
    scores = scored(tmp_path, file)
    assert scores['bbox_mAP'] == 1
    assert scores['segm_mAP'] == 1


def test_scores_need_no_sizes_and_no_areas_in_the_file(tmp_path):
    file = content(2)
    for row in file['images']:
        del row['width'], row['height']
    for row in file['annotations']:
        row['area'] = 0
    assert scored(tmp_path, file) == scored(tmp_path, content(2))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, 'cannot be read: No such file or directory. Check data_root and ann_file'),
        ('<html>', 'is no json file, or broke off'),
        ('[1]', 'holds a list; COCO has an object with the lists images, annotations, categories'),
        ('{"images": [], "annotations": [null], "categories": []}', "has 'None' in annotations"),
        ('{"images": {"1": {"id": 1}}, "annotations": [], "categories": []}', 'in images, which is a list of objects'),
        ('{"images": [], "annotations": [], "categories": ["fish"]}', "has 'fish' in categories"),
        (
            '{"images": [{"id": 7, "file_name": null}], "annotations": [], "categories": []}',
            'images 7 have no legal file_name',
        ),
    ],
)
def test_a_file_that_is_none_of_cocos_is_named_with_what_it_is(text, message, tmp_path):
    if text is not None:
        (tmp_path / 'a.json').write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        built(tmp_path)
    assert str(tmp_path / 'a.json') in str(error.value)
