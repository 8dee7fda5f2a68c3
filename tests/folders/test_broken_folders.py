"""Folders that cannot be used end in a list of what is wrong, file by file."""

import json

import numpy as np
import pytest

from denseformer.folders import FolderError, understand
from tests.support import formats


def spoil(path, old, new):
    path.write_text(path.read_text().replace(old, new, 1))


def test_a_folder_of_nothing_known_lists_what_is_expected_and_what_is_there(tmp_path):
    formats.images(tmp_path)
    formats.write(tmp_path / 'notes' / 'readme.json', '{}')
    with pytest.raises(
        FolderError, match=r'(?s)Expected is one of.*COCO.*YOLO.*pairs.*Found are.*images: 6 .jpg.*notes: 1 .json'
    ):
        understand(str(tmp_path))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FolderError, match=r'neither a folder nor'):
        understand(str(tmp_path / 'nothing'))


@pytest.mark.parametrize(
    ('write', 'file', 'old', 'new', 'message'),
    [
        (formats.coco, 'all.json', 'scene3.jpg', 'lost.jpg', "all.json: the image 'lost.jpg' is not there"),
        (formats.coco, 'all.json', '"category_id": ', '"category_id": 9', 'has category 9., which is not listed'),
        (
            formats.roboflow_coco,
            'train/_annotations.coco.json',
            '"image_id": 0',
            '"image_id": 77',
            'of image 77, which is not',
        ),
        (
            formats.coco_panoptic,
            'panoptic.json',
            '"scene2.png"',
            '"lost.png"',
            "the panoptic map of 'scene2.jpg' is not there",
        ),
        (formats.voc, 'Annotations/scene1.xml', '</annotation>', '', 'Annotations/scene1.xml: no element found'),
        (formats.roboflow_voc, 'train/scene1.xml', '<xmin>', '<xmin>x', 'train/scene1.xml: bndbox/xmin is'),
        (
            formats.yolo,
            'train/labels/scene0.txt',
            ' 0.',
            ' zero.',
            r'scene0.txt, line 1: .* are not a class index and numbers',
        ),
        (formats.yolo, 'train/labels/scene0.txt', ' 0.', ' 640.', 'line 1: 640.* is no share of the width or height'),
        (formats.yolo, 'train/labels/scene0.txt', '\n', ' 0.5\n', 'line 1: 5 numbers after the class'),
        (formats.yolo, 'train/labels/scene0.txt', '\n', '\n9 0.5 0.5 0.1 0.1\n', 'line 2: class 9, but'),
        (formats.labelme, 'scene4.json', 'scene4.jpg', 'lost.jpg', "scene4.json: the image 'lost.jpg' is not there"),
        (
            formats.cvat,
            'annotations.xml',
            'scene5.jpg',
            'lost.jpg',
            "annotations.xml: the image 'lost.jpg' is not there",
        ),
        (
            formats.label_studio,
            'export.json',
            'scene1.jpg',
            'lost.jpg',
            'export.json: the image .*lost.jpg. is not there',
        ),
    ],
)
def test_labels_that_are_broken_are_named_with_their_place(write, file, old, new, message, tmp_path):
    root = write(tmp_path / 'data')
    spoil(root / file, old, new)
    with pytest.raises(FolderError, match=message):
        understand(str(root))


def test_images_without_mask_and_masks_without_image_are_listed(tmp_path):
    root = formats.index_masks(tmp_path)
    (root / 'masks' / 'scene1.png').unlink()
    (root / 'images' / 'scene2.jpg').unlink()
    with pytest.raises(
        FolderError, match=r'(?s)masks/scene2.png: is a mask without image.*images/scene1.jpg: is an image without mask'
    ):
        understand(str(root))


def test_masks_of_photographs_and_colors_that_the_legend_lacks_are_refused(tmp_path):
    root = formats.color_masks(tmp_path / 'colors')
    spoil(root / 'class_dict.csv', 'star', '#')
    (root / 'class_dict.csv').write_text('\n'.join((root / 'class_dict.csv').read_text().splitlines()[2:]))
    with pytest.raises(FolderError, match=r'colors that class_dict.csv does not list'):
        understand(str(root))
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    formats.write_image(root / 'labels' / 'scene0_L.png', noise)
    with pytest.raises(FolderError, match=r"scene0_L.png' has \d+ colors, too many for a mask"):
        understand(str(root))


def test_class_files_and_layouts_miss_a_file(tmp_path):
    root = formats.class_masks(tmp_path / 'classes')
    for file in root.glob('masks/*/scene3.png'):
        file.unlink()
    with pytest.raises(FolderError, match=r'scene3.jpg: is an image without a mask of any class'):
        understand(str(root))
    root = formats.cityscapes(tmp_path / 'streets')
    next(root.glob('gtFine/train/bonn/*000001*TrainIds.png')).unlink()
    with pytest.raises(FolderError, match=r'there is no gtFine/train/bonn/bonn_000001_000019_gtFine_labelTrainIds.png'):
        understand(str(root))
    root = formats.ade20k(tmp_path / 'scenes')
    next(root.glob('annotations/training/*1.png')).unlink()
    with pytest.raises(FolderError, match=r'ADE_train_00000001.jpg: has no label map'):
        understand(str(root))


def test_pairs_of_other_sizes_and_targets_alone_are_listed(tmp_path):
    root = formats.pairs(tmp_path)
    (root / 'input' / 'scene1.png').unlink()
    formats.write_image(root / 'input' / 'scene2.png', np.zeros((50, 64, 3), np.uint8))
    with pytest.raises(
        FolderError, match=r'(?s)target/scene1.png: is a target without.*input/scene2.png: is \(64, 50\)'
    ):
        understand(str(root))


def test_a_folder_of_one_image_cannot_be_split(tmp_path):
    formats.write_image(tmp_path / 'a.png', formats.scenes()[0].image)
    with pytest.raises(FolderError, match=r'has 1 labelled image'):
        understand(str(tmp_path))


def test_boxes_cannot_be_learned_as_masks(tmp_path):
    root = formats.roboflow_coco(tmp_path)
    with pytest.raises(FolderError, match=r'boxes without outlines'):
        understand(str(root), 'instances')
    with pytest.raises(FolderError, match=r"no task 'instance'.*Did you mean 'instances'"):
        understand(str(root), 'instance')


def test_labels_without_an_object_are_refused(tmp_path):
    root = formats.coco(tmp_path)
    content = json.loads((root / 'all.json').read_text())
    (root / 'all.json').write_text(json.dumps({**content, 'annotations': []}))
    with pytest.raises(FolderError, match=r'holds no box and no polygon'):
        understand(str(root))
