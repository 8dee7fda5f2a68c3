"""Folders that are nearly what they seem: read as they are meant, or refused with what to do."""

import json
import re
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image

from denseformer.config.loading import load_config
from denseformer.datasets.building import build_dataset
from denseformer.datasets.restoration import RestorationImages
from denseformer.datasets.sample.classes import CLASSES, PALETTE
from denseformer.folders import FolderError, understand, write_dataset
from tests.support import formats

COLORS = np.zeros((256, 3), np.uint8)
COLORS[: len(PALETTE)] = PALETTE


def masks(root, draw, folder='masks', end='.png'):
    """Images, and beside them what `draw` makes of each scene."""
    for i, scene in enumerate(formats.scenes()):
        formats.write_image(formats.images(root) / folder / f'{formats.stem(i)}{end}', draw(scene))
    return root


def pieces(scene):
    return np.where(scene.instances > 0, 255, 0).astype(np.uint8)


def counted_from_1(scene, last=3):
    return np.minimum(np.where(scene.semantic == 255, 0, scene.semantic) + 1, last).astype(np.uint8)


def three(scene):
    return counted_from_1(scene) - 1


def edited(root, file, change):
    content = json.loads((root / file).read_text())
    change(content)
    (root / file).write_text(json.dumps(content))
    return root


def written(root, file, text):
    formats.write(root / file, text)
    return root


def moved(root, old, new):
    """The folder with files whose name has `old` renamed."""
    for path in [path for path in root.rglob('*') if path.is_file() and old in path.name]:
        path.rename(path.with_name(path.name.replace(old, new)))
    return root


RED, BLUE = (255, 0, 0), (0, 0, 255)
PAINTED = tuple(zip(CLASSES, PALETTE, strict=True))


def color_legend(root, rows=PAINTED, more=''):
    lines = (f'{name},{r},{g},{b}' for name, (r, g, b) in rows)
    return written(root, 'class_dict.csv', '\n'.join(('name,r,g,b', *lines, more)))


def palettes_of_their_own(root):
    """Masks in colors that a program stored with a palette each, in the order of their first pixel."""
    color_legend(masks(root, lambda scene: COLORS[scene.semantic]), more='void,0,0,0')
    for path in (root / 'masks').iterdir():
        Image.open(path).quantize(32).save(path)
    return root


def in_palettes(root, draw, *palettes):
    """Masks of indices, with these palettes, {index: color}, in turn; 0 where an index has no color."""
    for i, scene in enumerate(formats.scenes()):
        palette, labels = palettes[i % len(palettes)], draw(scene)
        colors = np.zeros((256, 3), np.uint8)
        colors[[*palette]] = [*palette.values()]
        labels = np.where(np.isin(labels, [*palette]), labels, 0).astype(np.uint8)
        formats.write_image(formats.images(root) / 'masks' / f'{formats.stem(i)}.png', labels, colors.ravel().tolist())
    return root


def beside_a_folder_that_is_left_out(root):
    for i, scene in enumerate(formats.scenes()):
        formats.write_image(root / 'images' / formats.split(i) / f'{i}.jpg', scene.image)
        formats.write_image(root / 'masks' / formats.split(i) / f'{i}.png', scene.semantic)
    formats.write_image(root / 'images' / 'old' / '9.jpg', formats.scenes()[0].image)
    formats.write_image(root / 'masks' / 'old' / '9.png', np.zeros((32, 32), np.uint8))
    return written(root, 'data.yaml', f'train: images/train\nval: images/valid\nnames: [{", ".join(CLASSES)}]\n')


def two_sets_of_one_name(root, write):
    """Images of the same names in two folders, and what `write` makes of the path of each."""
    for i, scene in enumerate(formats.scenes()):
        name = f'set{i % 2}/{i // 2}.jpg'
        formats.write_image(root / name, scene.image)
        write(root, i, name)
    return root


def studio_of_two_sets(root):
    tasks = json.loads((formats.label_studio_min(root) / 'export.json').read_text())
    shutil.rmtree(root / 'images')

    def write(root, i, name):
        tasks[i]['image'] = f'/data/local-files/?d={name}'

    return written(two_sets_of_one_name(root, write), 'export.json', json.dumps(tasks))


def voc_of_two_sets(root):
    def write(root, i, name):
        text = formats.voc_text(i).replace(f'{formats.stem(i)}.jpg', name)
        formats.write(root / f'xml{i % 2}' / f'{i // 2}.xml', text)

    return two_sets_of_one_name(root, write)


def studio_with_labels_apart(root):
    def change(content):
        for task in content:
            parts = task['annotations'][0]['result']
            for number, part in enumerate(parts):
                labels = part['value'].pop('rectanglelabels')
                part |= {'id': str(number), 'type': 'rectangle'}
                parts[number] = [part, {**part, 'type': 'labels', 'value': {**part['value'], 'labels': labels}}]
            task['annotations'][0]['result'] = [row for pair in parts for row in pair]

    return edited(formats.label_studio(root), 'export.json', change)


def labels_of_no_images(root):
    """Texts beside labels that hold no objects, and labels of images that are elsewhere."""
    (formats.yolo(root) / 'train/labels/README.txt').write_bytes(b'caf\xe9')
    written(root, 'train/labels/predefined_classes.txt', 'dog\nperson\n')
    return written(root, 'old/labels/1.txt', '0 0.5 0.5 0.1 0.1\n')


def same_names_in_both_splits(root):
    content = json.loads((formats.coco(root) / 'all.json').read_text())
    (root / 'all.json').unlink()
    shutil.rmtree(root / 'images')
    for part, ids in (('train', range(3)), ('val', range(3, 6))):
        for i in ids:
            formats.write_image(root / part / f'{i % 3}.jpg', formats.scenes()[i].image)
        rows = [{**row, 'file_name': f'{row["id"] % 3}.jpg'} for row in content['images'] if row['id'] in ids]
        objects = [row for row in content['annotations'] if row['image_id'] in ids]
        text = json.dumps({**content, 'images': rows, 'annotations': objects})
        formats.write(root / 'annotations' / f'instances_{part}.json', text)
    return root


def coco_beside_its_splits(root):
    content = json.loads((formats.coco(root) / 'all.json').read_text())
    return written(root, 'train.json', json.dumps({**content, 'images': content['images'][:1], 'annotations': []}))


def accents_in_two_characters(root):
    moved(formats.coco(root), 'scene', unicodedata.normalize('NFD', 'scéne'))
    return written(root, 'all.json', (root / 'all.json').read_text().replace('scene', 'scéne'))


def voc_with_maps(root):
    """Images whose folder comes after one of maps of the same names."""
    (formats.voc(root) / 'JPEGImages').rename(root / 'images')
    for i, scene in enumerate(formats.scenes()):
        formats.write_image(root / 'SegmentationClass' / f'{formats.stem(i)}.png', scene.semantic)
    return root


def voc_with_blanks(root):
    moved(formats.voc(root), 'scene', 'my scene ')
    for path in root.glob('ImageSets/Main/*'):
        path.write_text(path.read_text().replace('scene', 'my scene '))
    return root


def rectangles(root, corners):
    def change(content):
        for shape in content['shapes']:
            if shape['shape_type'] == 'polygon':
                (left, top), (right, bottom) = np.min(shape['points'], 0).tolist(), np.max(shape['points'], 0).tolist()
                four = [[left, top], [right, top], [right, bottom], [left, bottom]]
                shape |= {'shape_type': 'rectangle', 'points': four if corners == 4 else four[::2]}

    for path in formats.labelme(root).glob('*.json'):
        edited(root, path.name, change)
    return root


def studio_with_blanks(root):
    moved(formats.label_studio_min(root), 'scene', 'my scéne ')
    text = (root / 'export.json').read_text().replace('set/scene', 'my%20set/my%20sc%C3%A9ne%20')
    return written(root, 'export.json', text.replace('"label"', '"shapes"').replace('"id"', '"annotator"'))


def studio_with_plain_labels(root):
    text = (formats.label_studio(root) / 'export.json').read_text()
    return written(root, 'export.json', text.replace('"rectanglelabels": [', '"labels": ['))


def sixteen_bits(root):
    for path in (formats.index_masks(root) / 'masks').iterdir():
        labels = np.array(Image.open(path)).astype(np.uint16)
        labels[labels == 255] = 65535
        Image.fromarray(labels).save(path)
    return root


def with_an_earlier_run(root):
    found, listing = understand(str(formats.coco(root)))
    write_dataset(found, listing, root / 'runs' / 'first' / 'dataset')
    return root


def maps_in_the_root(root):
    for path in (formats.coco_panoptic(root) / 'panoptic').iterdir():
        path.rename(root / path.name)
    return root


def two_folders_of_images(root):
    shutil.rmtree(formats.coco(root) / 'images')
    return formats.images(formats.images(root, 'a'), 'b')


def mixed_suffixes(root):
    formats.index_masks(root)
    moved(moved(root, 'scene0.jpg', 'scene0.JPG'), 'scene2.png', 'scene2.PNG')
    Image.open(root / 'images/scene1.jpg').save(root / 'images/scene1.bmp')
    (root / 'images/scene1.jpg').unlink()
    return root


def linked(root):
    formats.index_masks(root.parent / 'elsewhere')
    root.mkdir()
    for name in ('images', 'masks', 'classes.txt'):
        (root / name).symlink_to(root.parent / 'elsewhere' / name)
    return root


NAMES = 'cat\ndog\nbird\n'
TWO = ('background', 'foreground')
MEANT = {
    'a folder around all': (lambda r: formats.index_masks(r / 'my_segmentation_set') and r, CLASSES),
    'a folder around all, and its data file': (lambda r: formats.yolo(r / 'project.v1') and r, formats.THINGS),
    'names of two for 0 and 255': (
        lambda r: written(formats.binary_masks(r), 'data.yaml', 'names: [ground, cell]\n'),
        ('ground', 'cell'),
    ),
    'masks of 0 and 1': (lambda r: masks(r, lambda s: s.instances > 0), TWO),
    'a list of one name for 0 and 255': (
        lambda r: written(formats.binary_masks(r), 'classes.txt', 'cell\n'),
        ('background', 'cell'),
    ),
    'a list without the background': (
        lambda r: written(masks(r, lambda s: counted_from_1(s) - (s.semantic == 0)), 'classes.txt', NAMES),
        ('background', 'cat', 'dog', 'bird'),
    ),
    'a list for values from 1': (
        lambda r: written(masks(r, counted_from_1), 'classes.txt', NAMES),
        ('cat', 'dog', 'bird'),
    ),
    'values with gaps': (
        lambda r: written(
            masks(r, lambda s: np.array([0, 9, 255], np.uint8)[counted_from_1(s) - 1]),
            'labels.csv',
            '0,a\n9,b\n255,c\n',
        ),
        ('a', 'b', 'c'),
    ),
    'void in a legend': (
        lambda r: color_legend(formats.color_masks(r), [('void', PALETTE[0]), *PAINTED[1:]]),
        CLASSES[1:],
    ),
    'a numbered list without the background': (
        lambda r: written(masks(r, three), 'labels.csv', '1,cat\n2,dog\n'),
        ('background', 'cat', 'dog'),
    ),
    'one class and void': (
        lambda r: written(masks(r, lambda s: s.instances > 0), 'classes.txt', 'unlabeled\ncrack\n'),
        ('unlabeled', 'crack'),
    ),
    'void in names, in another order': (
        lambda r: written(
            color_legend(formats.color_masks(r), [('void', PALETTE[0]), *PAINTED[1:]]),
            'data.yaml',
            f'names: [{", ".join(CLASSES[:0:-1])}, void]',
        ),
        (*CLASSES[:0:-1], 'void'),
    ),
    'a folder that the data file leaves out': (beside_a_folder_that_is_left_out, CLASSES),
    'a palette for each file': (palettes_of_their_own, CLASSES),
    'entries of palettes that are not used': (
        lambda r: color_legend(
            in_palettes(r, three, {1: RED}, {2: BLUE}), [('ground', (0, 0, 0)), ('red', RED), ('blue', BLUE)]
        ),
        ('ground', 'red', 'blue'),
    ),
    'palettes of gray beside ones of colors': (
        lambda r: in_palettes(r, three, {i: (i, i, i) for i in range(256)}, {1: RED, 2: BLUE}),
        ('class 0', 'class 1', 'class 2'),
    ),
    'palettes that differ, and 255': (
        lambda r: in_palettes(
            r, lambda s: np.array([0, 1, 255], np.uint8)[three(s)], {1: RED, 255: (9, 9, 9)}, {1: BLUE, 255: (9, 9, 9)}
        ),
        ('#000000', '#0000ff', '#ff0000'),
    ),
    'a palette with black that no class has': (
        lambda r: color_legend(in_palettes(r, three, {1: RED, 2: BLUE}), [('red', RED), ('blue', BLUE)]),
        ('red', 'blue'),
    ),
    'a palette and a legend in another order': (
        lambda r: color_legend(formats.palette_masks(r), PAINTED[::-1]),
        CLASSES,
    ),
    'capitals in the suffix of masks': (lambda r: moved(formats.binary_masks(r), '_mask', '_Mask'), TWO),
    'masks of 16 bits': (sixteen_bits, CLASSES),
    'masks of 16 bits with names': (
        lambda r: written(sixteen_bits(r), 'data.yaml', f'names: [{", ".join(CLASSES)}]'),
        CLASSES,
    ),
    'suffixes of several cases and kinds': (mixed_suffixes, CLASSES),
    'linked folders': (linked, CLASSES),
    'other xml files': (lambda r: written(formats.index_masks(r), 'a.aux.xml', '<PAMDataset/>'), CLASSES),
    'alpha': (lambda r: masks(r, lambda s: np.dstack([pieces(s)] * 4)), TWO),
    'the same names in both splits': (same_names_in_both_splits, formats.THINGS),
    'accents in two characters': (accents_in_two_characters, formats.THINGS),
    'boxes beside maps': (voc_with_maps, formats.THINGS),
    'blanks in lists': (voc_with_blanks, formats.THINGS),
    'two corners beside points': (lambda r: rectangles(r, 2), formats.THINGS),
    'four corners': (lambda r: rectangles(r, 4), formats.THINGS),
    'addresses with escapes': (studio_with_blanks, formats.THINGS),
    'plain labels': (studio_with_plain_labels, formats.THINGS),
    'labels apart from shapes': (studio_with_labels_apart, formats.THINGS),
    'folders in addresses': (studio_of_two_sets, formats.THINGS),
    'folders in names of files': (voc_of_two_sets, formats.THINGS),
    'other texts beside YOLO': (labels_of_no_images, formats.THINGS),
    'accents of maps in two characters': (
        lambda r: written(
            moved(formats.coco_panoptic(r), 'scene', unicodedata.normalize('NFD', 'scéne')),
            'panoptic.json',
            (r / 'panoptic.json').read_text().replace('scene', 'scéne'),
        ),
        CLASSES,
    ),
    'a list of images beside masks': (
        lambda r: written(masks(r, three), 'filenames.txt', 'scene0\nscene1\n'),
        ('class 0', 'class 1', 'class 2'),
    ),
    'test images without targets': (
        lambda r: formats.write_image(formats.pairs(r) / 'test/input/9.png', formats.scenes()[0].image) or r,
        (),
    ),
    'numbers of classes as text': (
        lambda r: written(
            formats.yolo(r), 'data.yaml', f"nc: '{len(formats.THINGS)}'\nnames: [{', '.join(formats.THINGS)}]"
        ),
        formats.THINGS,
    ),
    'an earlier run': (with_an_earlier_run, formats.THINGS),
    'other pictures beside YOLO': (
        lambda r: formats.write_image(formats.yolo(r) / 'runs/curve.png', formats.scenes()[0].image) or r,
        formats.THINGS,
    ),
    'maps in the root': (maps_in_the_root, CLASSES),
}


@pytest.mark.parametrize('case', MEANT)
def test_a_folder_is_read_as_it_is_meant(case, tmp_path):
    write, classes = MEANT[case]
    root = write(tmp_path / 'data')
    found, listing = understand(str(root))
    assert set(found.classes) == set(classes)
    if found.task == 'segmentation':
        assert found.classes == classes
    assert len(found.samples) == len({sample.image for sample in found.samples}) == formats.COUNT
    assert not any('Segmentation' in sample.image for sample in found.samples)
    if found.task in ('detection', 'instances'):
        assert sum(len(sample.things) for sample in found.samples) == formats.OBJECTS
    assert write_dataset(found, listing, tmp_path / 'dataset').is_file()


def first_labels(root, tmp_path):
    """(scene, label map) of the first training image, as it is learned."""
    found, listing = understand(str(root))
    config = load_config(
        write_dataset(found, listing, tmp_path / 'dataset'), {'augmentation': [], 'crop_size': (64, 64)}
    )
    load = build_dataset({**config.train_dataloader.dataset, 'pipeline': config.train_pipeline[:2]})
    sample = load[0]
    return formats.scenes()[int(re.findall(r'scene(\d)', sample['img_path'])[0])], sample['gt_seg_map']


def test_the_classes_of_palettes_and_lists_are_learned_where_they_are_drawn(tmp_path):
    scene, labels = first_labels(palettes_of_their_own(tmp_path / 'a'), tmp_path / 'a')
    assert np.array_equal(labels, scene.semantic)
    write, _ = MEANT['a palette and a legend in another order']
    scene, labels = first_labels(write(tmp_path / 'b'), tmp_path / 'b')
    assert np.array_equal(labels, scene.semantic)
    write, _ = MEANT['a list for values from 1']
    scene, labels = first_labels(write(tmp_path / 'c'), tmp_path / 'c')
    assert np.array_equal(labels, counted_from_1(scene) - 1)
    write, _ = MEANT['names of two for 0 and 255']
    scene, labels = first_labels(write(tmp_path / 'd'), tmp_path / 'd')
    assert np.array_equal(labels, scene.instances > 0)
    write, _ = MEANT['masks of 16 bits']
    scene, labels = first_labels(write(tmp_path / 'e'), tmp_path / 'e')
    assert np.array_equal(labels, scene.semantic)
    write, _ = MEANT['a palette with black that no class has']
    scene, labels = first_labels(write(tmp_path / 'f'), tmp_path / 'f')
    assert np.array_equal(labels, np.array([255, 0, 1])[three(scene)])
    write, _ = MEANT['palettes that differ, and 255']
    scene, labels = first_labels(write(tmp_path / 'g'), tmp_path / 'g')
    assert np.array_equal(labels == 255, three(scene) == 2)


def test_what_is_stored_twice_is_not_counted_as_left_out(tmp_path):
    assert not any('left out' in note for note in understand(str(studio_with_labels_apart(tmp_path)))[0].notes)


def test_files_of_labels_in_folders_without_images_are_noted(tmp_path):
    notes = understand(str(labels_of_no_images(tmp_path)))[0].notes
    assert any('1 files of labels are in folders to which no image belongs' in note for note in notes)


def test_mild_images_are_read_with_their_targets(tmp_path):
    root = moved(formats.scaled_pairs(tmp_path / 'data'), 'x2', 'x2m')
    config = load_config(write_dataset(*understand(str(root)), tmp_path / 'dataset'))
    images = build_dataset({**config.train_dataloader.dataset, 'pipeline': []})
    assert all(info['img_path'].endswith('x2m.png') for info in map(images.get_data_info, range(len(images))))


def wild(root):
    """DIV2K's wild images: four of each target for training, one for validation."""
    for i, scene in enumerate(formats.scenes()):
        part = 'valid' if i == 5 else 'train'
        formats.write_image(root / f'DIV2K_{part}_HR' / f'{i:04d}.png', scene.image)
        for number in ('',) if part == 'valid' else range(1, 5):
            name = root / f'DIV2K_{part}_LR_wild' / f'{i:04d}x4w{number}.png'
            formats.write_image(name, np.ascontiguousarray(scene.image[::4, ::4]))
    return root


def test_wild_images_are_read_each_with_the_target_that_they_share(tmp_path):
    root = wild(tmp_path / 'data')
    found, listing = understand(str(root))
    assert (found.scale, len(found.of('train')), len(found.of('val'))) == (4, 20, 1)
    config = load_config(write_dataset(found, listing, tmp_path / 'dataset'))
    images = build_dataset({**config.train_dataloader.dataset, 'pipeline': []})
    rows = [images.get_data_info(i) for i in range(len(images))]
    named = [(row['gt_path'].rpartition('/')[2], row['img_path'].rpartition('/')[2]) for row in rows]
    assert named == [(f'{i:04d}.png', f'{i:04d}x4w{number}.png') for i in range(5) for number in range(1, 5)]


def test_a_target_that_lacks_one_of_its_wild_images_is_named(tmp_path):
    root = wild(tmp_path / 'data')
    (root / 'DIV2K_train_LR_wild/0003x4w2.png').unlink()
    with pytest.raises(FolderError, match=r'0003\.png: .*wild images, 0003x4w2'):
        understand(str(root))
    prefix = {'gt_path': 'DIV2K_train_HR', 'img_path': 'DIV2K_train_LR_wild'}
    with pytest.raises(ValueError, match=r'1 wild images are missing.*0003x4w2'):
        RestorationImages(data_root=str(root), data_prefix=prefix, scale=4)


@pytest.mark.parametrize('kind', ['bicubic/X4/{}x4.png', 'mild/{}x4m.png'])
def test_of_several_degradations_of_a_target_all_folders_are_named(kind, tmp_path):
    root = wild(tmp_path / 'data')
    for i, scene in enumerate(formats.scenes()[:5]):
        name = root / f'DIV2K_train_LR_{kind.format(f"{i:04d}")}'
        formats.write_image(name, np.ascontiguousarray(scene.image[::4, ::4]))
    with pytest.raises(FolderError, match=rf'several degradations.*LR_{kind.partition("/{")[0]}, DIV2K_train_LR_wild'):
        understand(str(root))


def test_palettes_that_differ_are_noted(tmp_path):
    assert any(
        'palettes differ from mask to mask' in n for n in understand(str(palettes_of_their_own(tmp_path)))[0].notes
    )


def exif(root):
    """A mask of an image that is turned when it is read."""
    tag = Image.Exif()
    tag[0x112] = 6
    formats.index_masks(root)
    Image.fromarray(formats.scenes()[0].image[:48]).save(root / 'images/scene0.jpg', exif=tag)
    formats.write_image(root / 'masks/scene0.png', formats.scenes()[0].semantic[:48])
    return root


def emptied(root, *files):
    for file in files:
        (root / file).write_bytes(b'')
    return root


def shortened(root, *files):
    """Downloads of these files that broke off."""
    for file in files:
        (root / file).write_bytes((root / file).read_bytes()[:-200])
    return root


def without(root, file):
    (root / file).unlink()
    return root


def every_choice(content):
    for task in content:
        task['annotations'][0]['result'] = [{'value': {'format': 'rle', 'rle': [1], 'brushlabels': ['a']}}]


REFUSED = {
    'folders of other words': (
        lambda r: masks(r, lambda s: s.semantic, 'Masken'),
        r"--task super-resolution(?s:.*)Masken/scene0.png: has as few colors(?s:.*)in data.yaml, 'masks: Masken'",
    ),
    'labels in a table': (lambda r: written(formats.images(r), 'labels.csv', 'a,1'), 'labels.csv: labels of no known'),
    'names without labels': (lambda r: written(formats.images(r), 'data.yaml', 'names: [a]'), 'names classes: a'),
    'json that is cut': (
        lambda r: written(formats.images(r), 'all.json', '{"images": ['),
        'all.json: cannot be read as json',
    ),
    'soft edges': (
        lambda r: masks(r, lambda s: s.image[..., 0]),
        'values without names. If these are classes',
    ),
    'a legend that lacks values': (
        lambda r: written(masks(r, lambda s: s.semantic), 'classes.txt', 'a\nb\n'),
        r'values \[2, 3, 4, 5, 6, 7\] that classes.txt does not list',
    ),
    'a list that begins with the background, and one value more': (
        lambda r: written(masks(r, lambda s: counted_from_1(s, 4) - 1), 'classes.txt', 'background\ncat\ndog\n'),
        r'values \[3\] that classes.txt does not list',
    ),
    'names for colors': (
        lambda r: written(without(formats.color_masks(r), 'class_dict.csv'), 'data.yaml', 'names: [a, b]'),
        'write palette, colors in the order of names',
    ),
    'a map of colors': (
        lambda r: written(formats.color_masks(r), 'data.yaml', 'map: {255: 1}'),
        'these masks are in colors',
    ),
    'a palette longer than the names': (
        lambda r: written(formats.color_masks(r), 'data.yaml', 'names: [a]\npalette: [[1, 2, 3], [4, 5, 6]]'),
        'palette has 2 colors and names 1',
    ),
    'names of other class files': (
        lambda r: written(formats.class_masks(r), 'data.yaml', 'names: [sky]'),
        'masks of pebbles, planks, weave, which names does not list: sky',
    ),
    'a mask of another size': (
        lambda r: formats.write_image(formats.index_masks(r) / 'masks/scene2.png', np.zeros((32, 64), np.uint8)) or r,
        r'masks/scene2.png: is 64 x 32, images/scene2.jpg 64 x 64',
    ),
    'an image turned by its tag': (exif, 'scene0.png: is 64 x 48, images/scene0.jpg 48 x 64, turned by its EXIF tag'),
    'empty files': (
        lambda r: emptied(formats.index_masks(r), 'images/scene1.jpg', 'masks/scene2.png'),
        r'(?s)scene1.jpg. is empty.*scene2.png. is empty',
    ),
    'an empty image without labels': (lambda r: emptied(formats.alone(r), 'scene1.png'), 'scene1.png. is empty'),
    'images that are cut': (
        lambda r: shortened(formats.coco(r), 'images/scene1.jpg', 'images/scene4.jpg'),
        r'(?s)scene1.jpg. .* cannot be decoded: it is truncated.*scene4.jpg. .* cannot be decoded',
    ),
    'a link to nothing': (
        lambda r: (formats.alone(r) / 'scene9.png').symlink_to(r / 'gone.png') or r,
        'scene9.png. cannot be read: No such file',
    ),
    'a file of all beside the splits': (coco_beside_its_splits, r'labelled in several files(?s:.*)images/scene0.jpg'),
    'two images of one name': (
        two_folders_of_images,
        'may be a/scene0.jpg or b/scene0.jpg. Write the folder before',
    ),
    'a category without a name': (
        lambda r: edited(formats.coco(r), 'all.json', lambda c: c['categories'][0].pop('name')),
        r'all.json: categories\[0\] has no name',
    ),
    'an image id that occurs twice': (
        lambda r: edited(formats.coco(r), 'all.json', lambda c: c['images'][1].update(id=0)),
        'images: the id 0 occurs more than once',
    ),
    'boxes that are none': (
        lambda r: edited(formats.coco(r), 'all.json', lambda c: c['annotations'][0].update(bbox=7, segmentation=[[]])),
        'annotation 1 has no box of four numbers',
    ),
    'segments of no category': (
        lambda r: edited(
            formats.coco_panoptic(r),
            'panoptic.json',
            lambda c: c['annotations'][0]['segments_info'][0].update(category_id=99),
        ),
        r"segments of 'scene0.png' have categories that are not listed: 99",
    ),
    'segments of a text for a number': (
        lambda r: edited(
            formats.coco_panoptic(r),
            'panoptic.json',
            lambda c: c['annotations'][0]['segments_info'][0].update(category_id='1'),
        ),
        "categories that are not listed: '1'",
    ),
    'objects without a name': (
        lambda r: written(formats.voc(r), 'Annotations/scene0.xml', formats.voc_text(0).replace('name>', 'title>')),
        'objects without a class',
    ),
    'labels without an image': (
        lambda r: without(formats.yolo(r), 'train/images/scene1.jpg'),
        'labels/scene1.txt: there is no image of this name',
    ),
    'a negative width': (
        lambda r: written(formats.yolo(r), 'train/labels/scene0.txt', '0 0.5 0.5 -0.01 0.2\n'),
        'line 1: -0.01 is no width or height',
    ),
    'a number of classes that is not that of the names': (
        lambda r: written(formats.yolo(r), 'data.yaml', 'nc: 3\nnames: [a, b]'),
        'nc is 3, but names lists 2 classes',
    ),
    'keypoints': (lambda r: written(formats.yolo(r), 'data.yaml', 'kpt_shape: [2, 2]'), 'describes keypoints'),
    'points that are none': (
        lambda r: edited(formats.labelme(r), 'scene0.json', lambda c: c['shapes'][0].update(points=[[1, 2, 3], None])),
        'scene0.json: points are not pairs of numbers',
    ),
    'a copy of labels': (
        lambda r: shutil.copy(formats.labelme(r) / 'scene0.json', r / 'copy.json') and r,
        r'labelled in several files or rows:\s+scene0.jpg',
    ),
    'tracks': (
        lambda r: written(formats.images(r), 'a.xml', '<annotations><meta/><track id="0" label="car"/></annotations>'),
        'holds tracks of a video',
    ),
    'brushes': (lambda r: edited(formats.label_studio(r), 'export.json', every_choice), 'no polygon .6 brushes'),
    'an image without a target': (
        lambda r: without(formats.pairs(r), 'target/scene1.png'),
        'input/scene1.png: is an image without a target',
    ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_a_folder_that_would_be_misread_is_refused(case, tmp_path):
    write, message = REFUSED[case]
    root = write(tmp_path / 'data')
    with pytest.raises(FolderError, match=message):
        understand(str(root))


def test_what_is_asked_for_is_not_questioned(tmp_path):
    root = written(formats.images(tmp_path), 'sources.csv', 'a,b')
    assert understand(str(root), 'super-resolution')[0].format == 'images alone'


def test_images_of_other_splits_below_the_folder_of_a_split_are_not_trained_on(tmp_path):
    root = tmp_path / 'data'
    places = ('a', 'b', 'a', 'b', 'val', 'test')
    for i, (place, scene) in enumerate(zip(places, formats.scenes(), strict=True)):
        formats.write_image(root / place / f'{i}.png', scene.image)
    config = load_config(write_dataset(*understand(str(root)), tmp_path / 'dataset'))
    names = {
        split: {info['gt_path'][-5] for info in map(dataset.get_data_info, range(len(dataset)))}
        for split in ('train', 'val')
        for dataset in [build_dataset({**config[f'{split}_dataloader']['dataset'], 'pipeline': []})]
    }
    assert names == {'train': set('0123'), 'val': {'4'}}


def test_boxes_of_images_turned_by_their_tag_are_doubted(tmp_path):
    root = formats.coco(tmp_path)
    tag = Image.Exif()
    tag[0x112] = 6
    Image.fromarray(formats.scenes()[0].image[:48]).save(root / 'images/scene0.jpg', exif=tag)
    edited(root, 'all.json', lambda content: content['images'][0].update(height=48))
    assert any(
        '1 of 6 images looked at are turned by their EXIF tag' in note for note in understand(str(root))[0].notes
    )
