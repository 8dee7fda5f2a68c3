"""Labels follow class names, and names that do not match are said on both sides."""

import json

import pytest
import torch
from mmengine.registry import DATASETS

from denseformer.datasets import (
    ADE20KInstanceDataset,
    ADE20KPanopticDataset,
    CityscapesDataset,
    CityscapesPanopticDataset,
    CocoDataset,
    CocoPanopticDataset,
    HeldOutDataset,
)
from denseformer.detection.metrics.average_precision import CocoMetric

CLASSES = ('date', 'fig', 'nut')


def write(folder, names=CLASSES, used=None, images=1) -> None:
    """Category ids go down from 9; image i has a box of each of the `used` names."""
    ids = {name: 9 - i for i, name in enumerate(names)}
    rows = [
        {'image_id': i, 'category_id': ids[name], 'bbox': [10 * number, 0, 8, 8], 'area': 64}
        for i in range(images)
        for number, name in enumerate(names if used is None else used)
    ]
    content = {
        'images': [{'id': i, 'file_name': f'{i:02}.jpg', 'width': 1000, 'height': 48} for i in range(images)],
        'categories': [{'id': number, 'name': name} for name, number in ids.items()],
        'annotations': [{'id': i, **row} for i, row in enumerate(rows)],
    }
    (folder / 'a.json').write_text(json.dumps(content))


def built(folder, cls=CocoDataset, classes=CLASSES, **options):
    files = {'data_root': str(folder), 'ann_file': 'a.json', 'data_prefix': {'img': 'images'}}
    return cls(**files, metainfo={'classes': classes}, serialize_data=False, **options)


def labels(dataset, index: int = 0) -> dict[int, str]:
    """Number of the box, counted from the left -> its class."""
    found = dataset.get_data_info(index)['instances']
    return {int(row['bbox'][0]) // 10: dataset.metainfo['classes'][row['bbox_label']] for row in found}


@pytest.mark.parametrize('order', [CLASSES, ('nut', 'date', 'fig'), (' fig', 'nut ', 'date')])
def test_labels_follow_names_in_whatever_order_a_file_lists_them(tmp_path, order):
    write(tmp_path, order)
    assert labels(built(tmp_path)) == {i: name.strip() for i, name in enumerate(order)}


def test_a_part_of_a_file_whose_ids_begin_at_0_can_be_scored(tmp_path):
    write(tmp_path, images=5)
    dataset = built(tmp_path, HeldOutDataset, held_out=True, every=5)
    metric = CocoMetric(data_root=str(tmp_path), ann_file='a.json', metric=['bbox'])
    metric.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        boxes, numbers = ([row[key] for row in info['instances']] for key in ('bbox', 'bbox_label'))
        truth = {'bboxes': torch.tensor(boxes), 'labels': torch.tensor(numbers), 'scores': torch.ones(len(boxes))}
        metric.process({}, [{'img_id': info['img_id'], 'ori_shape': (48, 1000), 'pred_instances': truth}])
    assert metric.evaluate(len(dataset))['bbox_mAP'] == 1


def test_a_class_that_the_file_lacks_is_an_error_that_lists_both_sides(tmp_path):
    write(tmp_path, ('date', 'fig'))
    with pytest.raises(ValueError, match=r"a\.json' has no class called 'nut'") as error:
        built(tmp_path)
    assert "Its classes are: 'date', 'fig'. Those of the dataset are: 'date', 'fig', 'nut'" in str(error.value)


def test_boxes_of_a_class_that_the_dataset_lacks_are_an_error(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match=r"has boxes of classes that the dataset does not name: 'fig', 'nut'"):
        built(tmp_path, classes=('date',))
    assert labels(built(tmp_path, classes=('date',), subset=True)) == {0: 'date'}


def test_a_class_without_boxes_may_stand_in_the_file_only(tmp_path):
    write(tmp_path, (*CLASSES, 'everything'), used=CLASSES)
    assert len(labels(built(tmp_path))) == 3


def test_a_name_that_stands_there_twice_is_an_error(tmp_path):
    write(tmp_path, ('date', 'fig', 'nut'))
    (tmp_path / 'a.json').write_text((tmp_path / 'a.json').read_text().replace('"nut"', '"fig"'))
    with pytest.raises(ValueError, match=r"lists several categories called 'fig'"):
        built(tmp_path, classes=('date', 'fig'))


def test_a_box_of_a_category_without_name_is_an_error(tmp_path):
    write(tmp_path)
    (tmp_path / 'a.json').write_text((tmp_path / 'a.json').read_text().replace('"category_id": 9', '"category_id": 5'))
    with pytest.raises(ValueError, match='category 5 without a name'):
        built(tmp_path)


@pytest.mark.parametrize('cls', [CocoDataset, CityscapesDataset, ADE20KInstanceDataset])
def test_every_dataset_knows_its_own_classes(tmp_path, cls):
    names = cls.METAINFO['classes']
    write(tmp_path, names[::-1])
    assert labels(built(tmp_path, cls, names)) == dict(enumerate(names[::-1]))
    write(tmp_path, ('rock',))
    with pytest.raises(ValueError, match=names[0]):
        built(tmp_path, cls, names)


def write_panoptic(folder, names, things, image='town_1_2', file_name='town_1_2.jpg', map_name='any_map.png') -> None:
    segments = [
        {'id': 1 + i, 'category_id': 40 - i, 'bbox': [0, 0, 4, 4], 'area': 16, 'iscrowd': 0} for i in range(len(names))
    ]
    content = {
        'images': [{'id': image, 'file_name': file_name, 'width': 64, 'height': 48}],
        'categories': [{'id': 40 - i, 'name': name, 'isthing': int(name in things)} for i, name in enumerate(names)],
        'annotations': [{'image_id': image, 'file_name': map_name, 'segments_info': segments}],
    }
    (folder / 'a.json').write_text(json.dumps(content))


def built_panoptic(folder, cls=CocoPanopticDataset, **options):
    files = {'data_root': str(folder), 'ann_file': 'a.json', 'data_prefix': {'img': 'images', 'seg': 'maps'}}
    return cls(**files, serialize_data=False, **options)


def test_panoptic_labels_follow_names_and_maps_are_found_by_theirs(tmp_path):
    classes = {'classes': ('cup', 'sky', 'sea'), 'thing_classes': ('cup',), 'stuff_classes': ('sky', 'sea')}
    write_panoptic(tmp_path, ('sea', 'cup', 'sky'), ('cup',))
    info = built_panoptic(tmp_path, metainfo=classes).get_data_info(0)
    assert [(row['id'], row['category'], row['is_thing']) for row in info['segments_info']] == [
        (1, 2, 0), (2, 0, 1), (3, 1, 0),
    ]  # fmt: skip
    assert [row['bbox_label'] for row in info['instances']] == [0]
    assert info['seg_map_path'] == str(tmp_path / 'maps/any_map.png')
    write_panoptic(tmp_path, ('sea', 'cup', 'moon'), ('cup',))
    with pytest.raises(ValueError, match=r"does not name: 'moon' and no class called 'sky'"):
        built_panoptic(tmp_path, metainfo=classes)


def test_cityscapes_panoptic_images_are_in_their_citys_folder(tmp_path):
    info = CityscapesPanopticDataset.METAINFO
    assert info['classes'][:2] == ('person', 'rider')
    assert info['classes'][8:10] == ('road', 'sidewalk')
    assert len(info['classes']) == len(info['palette']) == 19
    names = {'file_name': 'town_1_2_gtFine_leftImg8bit.png', 'map_name': 'town_1_2_gtFine_panoptic.png'}
    write_panoptic(tmp_path, info['classes'][::-1], info['thing_classes'], **names)
    found = built_panoptic(tmp_path, CityscapesPanopticDataset).get_data_info(0)
    assert found['img_path'] == str(tmp_path / 'images/town/town_1_2_leftImg8bit.png')
    assert found['seg_map_path'] == str(tmp_path / 'maps/town_1_2_gtFine_panoptic.png')
    assert [row['category'] for row in found['segments_info']] == list(range(19))[::-1]


def test_ade20k_panoptic_has_things_first(tmp_path):
    info = ADE20KPanopticDataset.METAINFO
    assert info['classes'] == (*info['thing_classes'], *info['stuff_classes'])
    assert (len(info['thing_classes']), len(info['stuff_classes'])) == (100, 50)
    write_panoptic(tmp_path, ('wall', 'window ', 'plane'), ('window ', 'plane'))
    with pytest.raises(ValueError, match="no class called 'bed'") as error:
        built_panoptic(tmp_path, ADE20KPanopticDataset)
    assert 'does not name' not in str(error.value)


def test_a_dataset_of_which_no_image_is_left_is_an_error(tmp_path):
    write(tmp_path, used=())
    assert len(built(tmp_path)) == 1
    with pytest.raises(ValueError, match=r"Of the 1 images in '.*a\.json' none is left"):
        built(tmp_path, filter_cfg={'filter_empty_gt': True})


def test_every_nth_image_is_held_out(tmp_path):
    write(tmp_path, images=11)
    parts = [built(tmp_path, HeldOutDataset, held_out=held_out, every=4) for held_out in (True, False)]
    held_out, others = ([dataset.get_data_info(i)['img_id'] for i in range(len(dataset))] for dataset in parts)
    assert held_out == [0, 4, 8]
    assert others == [1, 2, 3, 5, 6, 7, 9, 10]
    assert len(labels(parts[0])) == 3
    with pytest.raises(ValueError, match='every=1 leaves nothing'):
        built(tmp_path, HeldOutDataset, held_out=True, every=1)


def test_the_datasets_are_registered():
    for cls in (CocoDataset, HeldOutDataset, CocoPanopticDataset, CityscapesPanopticDataset):
        assert DATASETS.get(f'denseformer.{cls.__name__}') is cls
