"""Boxes in Pascal VOC's xml files: every pixel that belongs to them, nothing beyond the image, no class by accident."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import MODELS, init_default_scope

from denseformer.config.loading import load_config
from denseformer.datasets import VOCDataset, XMLDataset

ROOT = Path(__file__).parents[3]
BCCD = ROOT.parent / 'shared/data/bccd'
SIZE = '<size><width>40</width><height>30</height><depth>3</depth></size>'


def box(name='cat', left=11, top=6, right=20, bottom=15, **marks) -> str:
    marked = ''.join(f'<{key}>{value}</{key}>' for key, value in marks.items())
    corners = f'<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>'
    return f'<object><name>{name}</name>{marked}<bndbox>{corners}</bndbox></object>'


def write(folder, *boxes: str, size: str = SIZE, name: str = 'a') -> None:
    for sub in ('Annotations', 'JPEGImages'):
        (folder / sub).mkdir(exist_ok=True)
    cv2.imwrite(str(folder / f'JPEGImages/{name}.jpg'), np.zeros((30, 40, 3), np.uint8))
    (folder / f'Annotations/{name}.xml').write_text(f'<annotation>{size}{"".join(boxes)}</annotation>')
    (folder / 'list.txt').write_text('\n'.join(path.stem for path in sorted((folder / 'Annotations').iterdir())))


def built(folder, classes=('cat', 'dog'), **options):
    files = {'data_root': str(folder), 'ann_file': 'list.txt', 'data_prefix': {'sub_data_root': ''}}
    return XMLDataset(**files, metainfo={'classes': classes}, serialize_data=False, **options)


def instances(folder, **options) -> list[dict]:
    return built(folder, **options).get_data_info(0)['instances']


@pytest.mark.parametrize(
    ('corners', 'expected'),
    [
        ((11, 6, 20, 15), [10, 5, 20, 15]),
        ((1, 1, 40, 30), [0, 0, 40, 30]),
        ((0, 0, 5, 5), [0, 0, 5, 5]),
        ((35, 25, 45, 31), [34, 24, 40, 30]),
        ((7, 8, 7, 8), [6, 7, 7, 8]),
        ((10.5, 6, 20.5, 15), [9.5, 5, 20.5, 15]),
    ],
    ids=['inside', 'whole', 'from 0', 'beyond', 'one pixel', 'fractions'],
)
def test_boxes_hold_their_last_pixel_and_end_at_the_border(tmp_path, corners, expected):
    write(tmp_path, box('dog', *corners))
    assert instances(tmp_path) == [{'bbox': expected, 'bbox_label': 1, 'ignore_flag': 0}]


@pytest.mark.parametrize('corners', [(20, 6, 11, 15), (50, 6, 60, 15)], ids=['turned round', 'outside'])
def test_boxes_without_area_are_left_out(tmp_path, corners):
    write(tmp_path, box('dog', *corners))
    assert instances(tmp_path) == []
    with pytest.raises(ValueError, match=r"Of the 1 images in '.*list\.txt' none is left"):
        built(tmp_path, filter_cfg={'filter_empty_gt': True})


def test_difficult_and_small_boxes_are_ignored(tmp_path):
    write(tmp_path, box(difficult=1), box(difficult=0), box(), box(right=13))
    assert [row['ignore_flag'] for row in instances(tmp_path)] == [1, 0, 0, 0]
    small = instances(tmp_path, filter_cfg={'bbox_min_size': 5})
    assert [row['ignore_flag'] for row in small] == [1, 0, 0, 1]


def test_boxes_of_a_class_that_the_dataset_lacks_are_an_error_that_lists_both_sides(tmp_path):
    write(tmp_path, box('Cat'), box('dog'))
    with pytest.raises(ValueError, match=r"list\.txt' has boxes of classes that the dataset does not name: 'Cat'") as e:
        built(tmp_path)
    assert "Its classes are: 'Cat', 'dog'. Those of the dataset are: 'cat', 'dog'" in str(e.value)
    assert [row['bbox_label'] for row in instances(tmp_path, subset=True)] == [1]


@pytest.mark.parametrize('size', ['', '<size><width>0</width><height>0</height></size>'], ids=['none', 'zero'])
def test_the_size_is_the_images_where_the_file_has_none(tmp_path, size):
    write(tmp_path, box(right=99), size=size)
    info = built(tmp_path).get_data_info(0)
    assert (info['width'], info['height']) == (40, 30)
    assert info['instances'][0]['bbox'] == [10, 5, 40, 15]


@pytest.mark.parametrize('text', ['40.0', ' 40 '])
def test_a_size_may_be_written_with_a_point(tmp_path, text):
    write(tmp_path, box(right=99), size=f'<size><width>{text}</width><height>30.0</height></size>')
    info = built(tmp_path).get_data_info(0)
    assert (info['width'], info['height']) == (40, 30)
    write(tmp_path, box(), size='<size><width>40.5</width><height>30</height></size>')
    with pytest.raises(ValueError, match=r'a\.xml.* cannot be used: size is 40\.5 x 30'):
        built(tmp_path)


@pytest.mark.parametrize(
    ('text', 'ignored'), [('Unspecified', 0), ('0', 0), ('', 0), ('false', 0), ('1', 1), ('True', 1), ('1.0', 1)]
)
def test_difficult_is_a_number_or_a_word(tmp_path, text, ignored):
    write(tmp_path, box(difficult=text), box())
    assert [row['ignore_flag'] for row in instances(tmp_path)] == [ignored, 0]


def test_another_word_for_difficult_is_named_with_its_field(tmp_path):
    write(tmp_path, box(difficult='perhaps'))
    with pytest.raises(ValueError, match=r"a\.xml.* cannot be used: difficult is 'perhaps', not a number"):
        built(tmp_path)


@pytest.mark.parametrize('text', ['a.jpg\nb.jpg\n\n', ' a \nb.xml', 'a\r\nb\r\n\r\n'], ids=['suffix', 'mixed', 'dos'])
def test_a_list_may_be_written_by_hand(tmp_path, text):
    write(tmp_path, box())
    write(tmp_path, box(), name='b')
    (tmp_path / 'list.txt').write_text(text)
    assert [Path(built(tmp_path).get_data_info(i)['img_path']).name for i in range(2)] == ['a.jpg', 'b.jpg']
    (tmp_path / 'list.txt').write_text('sub\\a')
    with pytest.raises(ValueError, match=r"list\.txt' lists names with backslashes"):
        built(tmp_path)


def test_objects_that_are_left_out_are_counted_by_reason(tmp_path):
    write(tmp_path, box(), box(difficult=1), box('fox'), box(left=50, right=60))
    counts = built(tmp_path, subset=True).object_counts
    assert counts == {'': 1, 'difficult': 1, 'of other classes': 1, 'with a box without area inside the image': 1}


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('', r'Annotations/a\.xml.* is empty'),
        ('<annotation>', r'a\.xml. is no xml file'),
        (f'<annotation>{SIZE}{box(left="x")}</annotation>', r'a\.xml. cannot be used'),
        (f'<annotation>{SIZE}<object><name>cat</name></object></annotation>', r'a\.xml. cannot be used'),
    ],
    ids=['empty', 'cut', 'letters', 'no box'],
)
def test_a_broken_file_is_named(tmp_path, text, words):
    write(tmp_path, box())
    (tmp_path / 'Annotations/a.xml').write_text(text)
    with pytest.raises(ValueError, match=words):
        built(tmp_path)


def test_a_size_that_nobody_knows_is_named(tmp_path):
    write(tmp_path, box(), size='')
    (tmp_path / 'JPEGImages/a.jpg').unlink()
    with pytest.raises(ValueError, match=r'a\.xml. cannot be used: .*a\.jpg'):
        built(tmp_path)


def test_images_may_have_another_suffix_and_names_with_dots(tmp_path):
    write(tmp_path, box(), name='a.b')
    assert built(tmp_path, img_suffix='.png').get_data_info(0)['img_path'] == str(tmp_path / 'JPEGImages/a.b.png')


def test_voc_knows_its_classes(tmp_path):
    (tmp_path / 'VOC2007').mkdir()
    write(tmp_path / 'VOC2007', box('tvmonitor'))
    files = {'data_root': str(tmp_path), 'ann_file': 'VOC2007/list.txt', 'data_prefix': {'sub_data_root': 'VOC2007'}}
    dataset = VOCDataset(**files, serialize_data=False)
    assert dataset.get_data_info(0)['instances'][0]['bbox_label'] == 19
    assert dataset.metainfo['dataset_type'] == 'VOC2007'


def test_a_training_step_with_boxes_of_every_kind(tmp_path):
    kinds = {
        'border': [box(left=1, top=1, right=40, bottom=30)],
        'difficult': [box(difficult=1)],
        'empty': [],
        'pixel': [box(left=7, top=8, right=7, bottom=8)],
    }
    for name, boxes in kinds.items():
        write(tmp_path, *boxes, name=name)
    config = load_config(ROOT / 'configs/retinanet_dinat_nano_bccd.py', {'num_classes': 2, 'image_scale': (80, 60)})
    init_default_scope(config.default_scope)
    dataset = built(tmp_path, pipeline=config.train_dataloader.dataset.pipeline)
    batch = [dataset[i] for i in range(len(kinds))]
    assert [len(sample['data_samples'].gt_instances) for sample in batch] == [1, 0, 0, 1]
    assert len(batch[1]['data_samples'].ignored_instances) == 1
    model = MODELS.build(config.model).train()
    data = model.data_preprocessor(pseudo_collate(batch), training=True)
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.skipif(not BCCD.is_dir(), reason='needs the blood cells of ../shared/data/bccd')
def test_blood_cells():
    files = {'data_root': str(BCCD), 'data_prefix': {'sub_data_root': ''}}
    names = {'classes': ('RBC', 'WBC', 'Platelets')}
    counts = {}
    for split in ('train', 'val', 'test'):
        dataset = XMLDataset(**files, ann_file=f'ImageSets/Main/{split}.txt', metainfo=names, serialize_data=False)
        counts[split] = len(dataset)
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            boxes = np.array([row['bbox'] for row in info['instances']])
            assert (boxes[:, :2] >= 0).all()
            assert (boxes[:, 2:] <= (info['width'], info['height'])).all()
            assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert counts == {'train': 205, 'val': 87, 'test': 72}
