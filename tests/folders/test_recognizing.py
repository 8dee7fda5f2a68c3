"""The sample set in every format: what is recognised, and the bases that are written of it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from denseformer.config.loading import load_config
from denseformer.datasets.building import build_dataset
from denseformer.datasets.sample.classes import CLASSES
from denseformer.folders import FolderError, understand, write_dataset
from tests.support import formats

SEMANTIC = (
    (formats.index_masks, 'masks of class indices', CLASSES),
    (formats.palette_masks, 'masks of class indices', tuple(f'class {i}' for i in range(8))),
    (formats.color_masks, 'masks in colors', CLASSES),
    (formats.cvat_masks, 'masks in colors', ('background', *CLASSES)),
    (formats.binary_masks, 'masks of 0 and 255', ('background', 'foreground')),
    (formats.class_masks, 'one mask file per class', ('background', *CLASSES[5:])),
)
OBJECTS = (
    (formats.coco, 'COCO json', 'instances'),
    (formats.roboflow_coco, 'COCO json', 'detection'),
    (formats.voc, 'Pascal VOC xml', 'detection'),
    (formats.roboflow_voc, 'Pascal VOC xml', 'detection'),
    (formats.yolo, 'YOLO txt', 'detection'),
    (formats.yolo_polygons, 'YOLO txt', 'instances'),
    (formats.labelme, 'LabelMe json', 'instances'),
    (formats.cvat, 'CVAT xml', 'instances'),
    (formats.label_studio, 'Label Studio json', 'detection'),
    (formats.label_studio_min, 'Label Studio json', 'instances'),
)
PICTURES = (
    (formats.pairs, 'pairs of images', 'restoration', 1),
    (formats.scaled_pairs, 'pairs of images', 'super-resolution', 2),
    (formats.alone, 'images alone', 'super-resolution', 2),
)


def sets_of(found, listing, folder):
    """The datasets of the base that is written, without their pipelines."""
    others = {'augmentation': [], 'crop_size': (formats.SIDE, formats.SIDE)}  # what other bases set
    config = load_config(write_dataset(found, listing, folder / 'dataset'), others)
    return {
        split: build_dataset({**config[f'{split}_dataloader']['dataset'], 'pipeline': []}) for split in ('train', 'val')
    }, config


@pytest.mark.parametrize(('write', 'kind', 'classes'), SEMANTIC, ids=lambda value: getattr(value, '__name__', ''))
def test_masks_are_recognised_and_read_as_they_were_drawn(write, kind, classes, tmp_path):
    found, listing = understand(str(write(tmp_path / 'data')))
    assert (found.format, found.task, found.classes) == (kind, 'segmentation', classes)
    assert len(found.of('train')) + len(found.of('val')) == formats.COUNT
    assert found.of('val')
    sets, config = sets_of(found, listing, tmp_path)
    load = build_dataset({**config.train_dataloader.dataset, 'pipeline': config.train_pipeline[:2]})
    sample = load[0]
    scene = formats.scenes()[int(sample['img_path'][-5])]
    drawn = scene.semantic
    if kind == 'masks of 0 and 255':
        drawn = scene.instances > 0
    elif classes[1:] == CLASSES:
        drawn = np.where(drawn == 255, 0, drawn + 1)
    elif kind == 'one mask file per class':
        drawn = np.where((drawn >= 5) & (drawn <= 7), drawn - 4, 0)
    counted = drawn != 255  # black, where colors have no void
    assert np.array_equal(sample['gt_seg_map'][counted], drawn[counted])
    assert set(np.unique(sample['gt_seg_map'][~counted])) <= {255}
    assert len(sets['train']) == len(found.of('train'))


def test_videos_are_recognised_where_they_are_asked_for_and_split_as_their_lists_say(tmp_path):
    root = formats.videos(tmp_path / 'data')
    assert understand(str(root))[0].task == 'segmentation'
    formats.write(root / 'ImageSets/480p/train.txt', 'dog\ngoat\n')
    formats.write(root / 'ImageSets/480p/val.txt', '/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png\n')
    for video in ('bear', 'dog', 'goat'):
        for time in range(3):
            formats.write_image(root / f'Flow/480p/{video}/{time:05d}.png', formats.scenes()[time].image)
    found, listing = understand(str(root), 'video')
    assert (found.format, found.task) == ('DAVIS', 'video')
    sets, _ = sets_of(found, listing, tmp_path)
    assert [Path(info['img_path']).parent.name for info in sets['train']] == ['dog'] * 3 + ['goat'] * 3
    assert Path(sets['val'][0]['flow_path']).parts[-3:] == ('480p', 'bear', '00000.png')


def test_a_video_without_masks_and_a_single_one_are_refused(tmp_path):
    root = formats.videos(tmp_path / 'data')
    (root / 'Annotations/480p/bear/00001.png').unlink()
    with pytest.raises(FolderError, match=r'bear/00001\.jpg: there is no Annotations/480p/bear/00001\.png'):
        understand(str(root), 'video')
    for video in ('bear', 'dog'):
        shutil.rmtree(root / 'JPEGImages/480p' / video)
    with pytest.raises(FolderError, match='one video'):
        understand(str(root), 'video')


@pytest.mark.parametrize(('write', 'kind', 'task'), OBJECTS, ids=lambda value: getattr(value, '__name__', ''))
def test_objects_are_recognised_and_read_where_they_were_drawn(write, kind, task, tmp_path):
    found, listing = understand(str(write(tmp_path / 'data')))
    assert (found.format, found.task, set(found.classes)) == (kind, task, set(formats.THINGS))
    assert sum(len(sample.things) for sample in found.samples) == formats.OBJECTS
    sets, _ = sets_of(found, listing, tmp_path)
    assert len(sets['train']) + len(sets['val']) == formats.COUNT
    for dataset in sets.values():
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            rows = formats.objects(int(info['img_path'][-5]))
            # Outlines of several parts are reduced to the longest by formats of one polygon.
            whole = [row for row in rows if len(row['segmentation']) == 1]
            drawn = {(formats.named(row), *(round(v) for v in row['bbox'])) for row in whole}
            read = {
                (found.classes[row['bbox_label']], *(round(v) for v in (x, y, right - x, bottom - y)))
                for row in info['instances']
                for x, y, right, bottom in [row['bbox']]
            }
            assert drawn <= read


def test_panoptic_maps_are_recognised_with_their_things_and_stuff(tmp_path):
    found, listing = understand(str(formats.coco_panoptic(tmp_path / 'data')))
    assert (found.task, found.classes, found.stuff) == ('panoptic', CLASSES, CLASSES[5:])
    _, config = sets_of(found, listing, tmp_path)
    load = build_dataset({**config.train_dataloader.dataset, 'pipeline': config.train_pipeline[:2]})
    scene = formats.scenes()[int(load[0]['img_path'][-5])]
    assert np.array_equal(load[0]['gt_seg_map'], scene.semantic)


@pytest.mark.parametrize(('write', 'kind', 'task', 'scale'), PICTURES, ids=lambda value: getattr(value, '__name__', ''))
def test_pictures_are_recognised_with_their_scale(write, kind, task, scale, tmp_path):
    found, listing = understand(str(write(tmp_path / 'data')))
    assert (found.format, found.task, found.scale) == (kind, task, scale)
    sets, _ = sets_of(found, listing, tmp_path)
    names = [{info['gt_path'] for info in map(dataset.get_data_info, range(len(dataset)))} for dataset in sets.values()]
    assert not names[0] & names[1]
    assert len(names[0] | names[1]) == formats.COUNT


@pytest.mark.parametrize(('write', 'classes'), [(formats.cityscapes, 19), (formats.ade20k, 150)])
def test_layouts_of_publishers_bring_their_classes(write, classes, tmp_path):
    found, listing = understand(str(write(tmp_path / 'data')))
    assert (len(found.classes), len(found.of('train')), len(found.of('val'))) == (classes, 4, 2)
    _, config = sets_of(found, listing, tmp_path)
    load = build_dataset({**config.train_dataloader.dataset, 'pipeline': config.train_pipeline[:2]})
    assert np.array_equal(load[0]['gt_seg_map'], formats.scenes()[0].semantic)


def test_a_task_that_is_asked_for_decides_between_the_labels_of_a_folder(tmp_path):
    root = formats.coco(formats.index_masks(tmp_path / 'data'))
    assert understand(str(root))[0].task == 'instances'
    boxes = understand(str(root), 'detection')[0]
    assert boxes.task == 'detection'
    assert not any(thing.outline for s in boxes.samples for thing in s.things)
    assert understand(str(root), 'segmentation')[0].classes == CLASSES
