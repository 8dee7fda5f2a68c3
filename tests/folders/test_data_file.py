"""What a data file says of a folder: its place, splits, classes, and what is made of them."""

import numpy as np
import pytest

from denseformer.config.errors import ConfigError
from denseformer.config.loading import load_config
from denseformer.datasets.building import build_dataset
from denseformer.datasets.sample.classes import CLASSES
from denseformer.folders import FolderError, read_data_file, understand
from tests.support import formats


def described(root, text):
    file = root.parent / 'my.yaml'
    file.write_text(f'path: {root.name}\n{text}')
    return file


def test_splits_are_the_folders_and_lists_that_the_file_names(tmp_path):
    root = formats.coco(tmp_path / 'data')
    formats.write(root / 'held_out.txt', 'images/scene0.jpg\n./images/scene5.jpg\n')
    found, _ = understand(str(described(root, 'train: images\nval: held_out.txt\n')))
    assert {s.image for s in found.of('train')} == {f'images/scene{i}.jpg' for i in range(1, 5)}
    assert {s.image for s in found.of('val')} == {'images/scene0.jpg', 'images/scene5.jpg'}
    found, _ = understand(str(described(root, 'val: held_out.txt\n')))
    assert {s.image for s in found.samples} == {'images/scene0.jpg', 'images/scene5.jpg'}


def test_classes_are_merged_and_dropped_in_masks(tmp_path):
    root = formats.index_masks(tmp_path / 'data')
    text = 'merge: {ground: [pebbles, planks, weave]}\ndrop: [moon]\n'
    found, _ = understand(str(described(root, text)))
    assert found.classes == ('star', 'heart', 'ring', 'cross', 'ground')
    assert [found.values[i] for i in range(8)] == [0, 1, 2, 3, 255, 4, 4, 4]


def test_classes_are_merged_and_dropped_in_boxes(tmp_path):
    root = formats.labelme(tmp_path / 'data')
    first, second, *others = formats.THINGS
    found, _ = understand(str(described(root, f'merge: {{pair: [{first}, {second}]}}\ndrop: [{others[0]}]\n')))
    names = [thing.name for sample in found.samples for thing in sample.things]
    assert set(names) == {'pair', *others[1:]}


def test_stored_values_become_the_classes_that_map_and_ignore_give_them(tmp_path):
    root = formats.binary_masks(tmp_path / 'data')
    found, _ = understand(str(described(root, 'names: [ground, piece]\nmap: {255: 1}\n')))
    assert (found.classes, found.values) == (('ground', 'piece'), {255: 1})
    root = formats.index_masks(tmp_path / 'more')
    (root / 'classes.txt').unlink()
    file = described(root, f'names: [{", ".join(CLASSES[:7])}]\nignore: [7]\n')
    assert understand(str(file))[0].values == {7: 255}


def test_a_palette_gives_colors_their_names(tmp_path):
    root = formats.color_masks(tmp_path / 'data')
    (root / 'class_dict.csv').unlink()
    palette = [list(map(int, color)) for color in formats.PALETTE]
    found, _ = understand(str(described(root, f'names: [{", ".join(CLASSES)}]\npalette: {palette}\n')))
    assert found.classes == CLASSES


def test_objects_of_names_that_the_file_does_not_list_are_refused(tmp_path):
    root = formats.voc(tmp_path / 'data')
    found, _ = understand(str(described(root, f'names: [{", ".join(reversed(formats.THINGS))}]\n')))
    assert found.classes == formats.THINGS[::-1]
    with pytest.raises(FolderError, match=f'objects called {formats.THINGS[-1]}, which names does not list'):
        understand(str(described(root, f'names: [{", ".join(formats.THINGS[:-1])}]\n')))


@pytest.mark.parametrize('layout', ['{kind}/{split}', '{split}/{kind}', '{kind}'])
def test_folders_of_masks_are_those_that_the_file_names(layout, tmp_path):
    root = tmp_path / 'data'
    for i, scene in enumerate(formats.scenes()):
        places = [layout.format(kind=kind, split=formats.split(i)) for kind in ('Bilder', 'Masken')]
        formats.write_image(root / places[0] / f'{i}.jpg', scene.image)
        formats.write_image(root / places[1] / f'{i}.png', scene.semantic)
    found, _ = understand(str(described(root, 'masks: Masken\n')))
    assert found.format == 'masks of class indices'
    assert len(found.samples) == 6
    for sample in found.samples:
        assert sample.labels[0] == sample.image.replace('Bilder', 'Masken').replace('.jpg', '.png')


def test_images_without_masks_may_lie_where_the_file_does_not_look(tmp_path):
    root = formats.index_masks(tmp_path / 'data')
    formats.write_image(root / 'more' / 'extra.jpg', formats.scenes()[0].image)
    with pytest.raises(FolderError, match=r'(?s)more/extra.jpg: is an image without mask.*data.yaml'):
        understand(str(root))
    found, _ = understand(str(described(root, 'train: images\n')))
    assert len(found.samples) == 6
    assert any('1 images without a label or a partner are in no folder' in note for note in found.notes)
    with pytest.raises(FolderError, match=r'more/extra\.jpg: is an image without mask'):
        understand(str(described(root, 'train: [images, more]\n')))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('masks: Masken\n', "masks names 'Masken', but no image is in a folder of this name"),
        ('masks: Masks\n', "Did you mean 'masks'"),
        ('masks: /far/masks\n', r"masks names '/far/masks', .* Name folders as they are seen from '.*data'"),
        ('task: detection\nmasks: masks\n', r'masks in the data file .*; the task is detection\. Take masks out'),
        ('nmaes: [a]\n', "nothing reads the key 'nmaes'.* Did you mean 'names'"),
        ('names: {1: a, 2: b}\n', r'names: the indices are \[1, 2\]'),
        ('names: 5\n', "names: 'int' object"),
        ("nc: '2'\nnames: [a, b, c]\n", 'nc is 2, but names lists 3'),
        ('palette: [[1, 2]]\n', r'palette: \(1, 2\) is no color'),
        ('task: guess\n', "task is one of .* not 'guess'"),
        ('train: nowhere\n', "there is no folder 'nowhere'"),
        ('drop: [lion]\n', 'merge or drop name lion, but the classes are'),
        ('names: [a, b]\n', 'names are given: complete names, map or ignore'),
        ('[1, 2\n', 'cannot be read as yaml'),
    ],
)
def test_what_the_file_gets_wrong_is_named(text, message, tmp_path):
    file = described(formats.index_masks(tmp_path / 'data'), text)
    with pytest.raises(FolderError, match=message):
        understand(str(file))


def test_a_file_of_another_machine_means_the_folder_that_it_lies_in(tmp_path):
    root = formats.yolo(tmp_path)
    (root / 'data.yaml').write_text(
        'path: /elsewhere/set\ntrain: /elsewhere/set/train\nval: valid\nnames: [a, b, c, d, e]\n'
    )
    assert read_data_file(root / 'data.yaml').path == root.resolve()


def test_a_config_takes_a_data_file_as_the_base_of_its_dataset(tmp_path, monkeypatch):
    monkeypatch.setenv('DENSEFORMER_CACHE', str(tmp_path / 'cache'))
    root = formats.index_masks(tmp_path / 'data')
    described(root, 'drop: [star]\n')
    config = tmp_path / 'mine.py'
    bases = "'denseformer::_base_/backbones/dinat_nano.py', 'denseformer::_base_/heads/upernet.py', 'my.yaml'"
    config.write_text(f'_base_ = [{bases}]\n')
    loaded = load_config(config)
    assert loaded.model.decode_head.num_classes == 7
    load = build_dataset({**loaded.train_dataloader.dataset, 'pipeline': loaded.train_pipeline[:2]})
    drawn = formats.scenes()[int(load[0]['img_path'][-5])].semantic.astype(int)
    assert np.array_equal(load[0]['gt_seg_map'], np.where((drawn == 0) | (drawn == 255), 255, drawn - 1))
    written = loaded.train_dataloader.dataset.ann_file
    assert load_config(config).train_dataloader.dataset.ann_file == written  # cached
    formats.write_image(root / 'images' / 'scene9.jpg', formats.scenes()[0].image)
    formats.write_image(root / 'masks' / 'scene9.png', formats.scenes()[0].semantic)
    assert load_config(config).train_dataloader.dataset.ann_file != written
    (root / 'masks' / 'scene9.png').unlink()
    (root / 'masks' / 'scene9.png').symlink_to(root / 'gone.png')
    with pytest.raises(ValueError, match=r'scene9\.png'):
        load_config(config)


@pytest.mark.parametrize(
    ('write', 'text', 'message'),
    [
        (formats.coco, 'names: [Star, heart]\n', 'objects called cross, moon, ring, star, which names does not list'),
        (formats.cvat, f'names: [{", ".join(formats.THINGS[1:])}]\n', f'objects called {formats.THINGS[0]}'),
        (formats.coco_panoptic, 'names: [dog]\n', 'its classes are star, .*; names lists dog'),
        (formats.cityscapes, 'names: [dog]\n', 'is Cityscapes: .* names lists dog'),
        (formats.voc, 'map: {255: 1}\n', 'are for masks of classes'),
    ],
)
def test_what_the_format_has_no_use_for_is_refused(write, text, message, tmp_path):
    with pytest.raises(FolderError, match=message):
        understand(str(described(write(tmp_path / 'data'), text)))


def test_a_data_file_in_place_of_a_config_is_told_from_one(tmp_path):
    file = described(formats.index_masks(tmp_path / 'data'), 'names: [a, b]\n')
    with pytest.raises(ConfigError, match=r"describes data and is no config.*fit .*_base_ = \[..., 'my.yaml'"):
        load_config(file)
