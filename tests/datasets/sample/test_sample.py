import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from denseformer.datasets.sample import (
    CLASSES,
    IGNORED,
    PALETTE,
    STUFF_CLASSES,
    THING_CLASSES,
    draw_scene,
    ensure_sample_set,
)
from denseformer.datasets.sample.annotations import polygons
from denseformer.registry import DATASETS

SMALL = {'train': 24, 'val': 12, 'size': 96}
TINY = {'train': 2, 'val': 1, 'size': 64}
PUBLISHED_AREAS = [1465, 0, 0, 444, 858, 2380, 2068, 2001]
PUBLISHED_COLOUR = (93.70, 99.46, 73.98)


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    return ensure_sample_set(tmp_path_factory.mktemp('data') / 'sample', **SMALL)


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob('*')) if path.is_file()}


def pairs(root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Colors (n, 3) and labels (n,) of every pixel of a split."""
    images = sorted((root / 'images' / split).iterdir())
    labels = sorted((root / 'annotations' / split).iterdir())
    assert [path.stem for path in images] == [path.stem for path in labels]
    colors = np.stack([cv2.imread(str(path)) for path in images]).reshape(-1, 3)
    return colors, np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in labels]).ravel()


def mean_iou(predicted: np.ndarray, labels: np.ndarray) -> float:
    counted, count = labels != IGNORED, len(CLASSES)
    pairs = labels[counted].astype(int) * count + predicted[counted]
    confusion = np.bincount(pairs, minlength=count**2).reshape(count, count)
    both = np.diag(confusion)
    return float(np.mean(both / (confusion.sum(0) + confusion.sum(1) - both)))


def test_classes_are_things_then_stuff():
    assert CLASSES == THING_CLASSES + STUFF_CLASSES
    assert len(PALETTE) == len(CLASSES) == len(set(PALETTE))


def test_layout(root):
    for split, count in (('training', SMALL['train']), ('validation', SMALL['val'])):
        for folder in (root / 'images' / split, root / 'annotations' / split, root / f'panoptic_{split}'):
            assert len(list(folder.iterdir())) == count
        for kind in ('instances', 'panoptic'):
            assert len(json.loads((root / f'{kind}_{split}.json').read_text())['images']) == count
    image = cv2.imread(str(root / 'images/training/training_0001.jpg'))
    assert image.shape == (SMALL['size'], SMALL['size'], 3)


def test_every_class_occurs_and_nothing_else(root):
    for split in ('training', 'validation'):
        assert set(np.unique(pairs(root, split)[1])) == {*range(len(CLASSES)), IGNORED}


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    first, second = (content(ensure_sample_set(tmp_path / name, **TINY)) for name in ('one', 'two'))
    assert first == second
    other = content(ensure_sample_set(tmp_path / 'three', **TINY, seed=1))
    assert other['images/training/training_0001.jpg'] != first['images/training/training_0001.jpg']


def test_a_longer_set_begins_with_the_shorter_one(tmp_path, root):
    shorter = ensure_sample_set(tmp_path / 'sample', **SMALL | {'train': 2, 'val': 1})
    for name, data in content(shorter / 'images').items():
        assert (root / 'images' / name).read_bytes() == data


def test_the_drawing_is_the_one_that_was_published():
    """Whoever changes the drawing raises `store.VERSION`, so that sets on disk are drawn again, and these numbers."""
    scene = draw_scene(np.random.default_rng((0, 1, 0)), 96)
    assert np.bincount(scene.semantic.ravel(), minlength=len(CLASSES))[: len(CLASSES)].tolist() == PUBLISHED_AREAS
    np.testing.assert_allclose(scene.image.mean(axis=(0, 1)), PUBLISHED_COLOUR, atol=0.05)


@pytest.mark.parametrize('split', ['training', 'validation'])
def test_semantic_instance_and_panoptic_labels_agree(root, split):
    coco = COCO(str(root / f'instances_{split}.json'))
    panoptic = json.loads((root / f'panoptic_{split}.json').read_text())
    names = {category['id']: category['name'] for category in panoptic['categories']}
    assert {i: names[i] for i in coco.cats} == {i: category['name'] for i, category in coco.cats.items()}
    for image, entry in zip(panoptic['images'], panoptic['annotations'], strict=True):
        name = entry['file_name']
        semantic = cv2.imread(str(root / 'annotations' / split / name), cv2.IMREAD_UNCHANGED)
        colors = cv2.imread(str(root / f'panoptic_{split}' / name))[..., ::-1].astype(int)
        ids = colors @ [1, 256, 65536]
        segments = {segment['id']: segment for segment in entry['segments_info']}
        assert set(np.unique(ids)) - {0} == set(segments)
        assert ((ids == 0) == (semantic == IGNORED)).all()
        boxes = {}
        for number, segment in segments.items():
            mask = ids == number
            assert (semantic[mask] == CLASSES.index(names[segment['category_id']])).all()
            assert segment['area'] == mask.sum()
            if segment['isthing']:
                boxes[number] = tuple(segment['bbox'])
        annotations = coco.imgToAnns[image['id']]
        assert sorted(boxes.values()) == sorted(tuple(annotation['bbox']) for annotation in annotations)
        for annotation in annotations:
            mask = coco.annToMask(annotation).astype(bool)
            (number,) = np.unique(ids[mask])
            assert (mask == (ids == number)).all()
            assert segments[number]['category_id'] == annotation['category_id']
            rows, columns = np.nonzero(mask)
            assert annotation['area'] == mask.sum()
            assert annotation['bbox'] == [
                columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1
            ]  # fmt: skip


def test_polygons_cover_any_mask_exactly():
    """Holes, islands in holes and pixels that touch at corners, as pycocotools rasterises them."""
    rng = np.random.default_rng(0)
    for density in (0.2, 0.5, 0.8, 1.0):
        for _ in range(10):
            mask = rng.random((9, 11)) < density
            coco = COCO()
            coco.imgs = {1: {'height': 9, 'width': 11}}
            parts = polygons(mask)
            covered = [coco.annToMask({'image_id': 1, 'segmentation': [part]}) for part in parts]
            assert (np.sum(covered, axis=0) == mask).all()


@pytest.mark.parametrize('balanced', [False, True], ids=['most frequent class', 'most surprising class'])
def test_colors_do_not_tell_the_classes(root, balanced):
    """A table from color to class, learned on the training pictures, is bad on the validation pictures."""
    colors, labels = pairs(root, 'training')
    counts = np.zeros((16**3, len(CLASSES)))
    counted = labels != IGNORED
    np.add.at(counts, (colors[counted].astype(int) // 16 @ [1, 16, 256], labels[counted]), 1)
    table = (counts / counts.sum(0) if balanced else counts).argmax(1)
    colors, labels = pairs(root, 'validation')
    assert mean_iou(table[colors.astype(int) // 16 @ [1, 16, 256]], labels) < 0.35


def test_a_constant_answer_is_bad(root):
    labels = pairs(root, 'validation')[1]
    assert max(mean_iou(np.full(len(labels), index), labels) for index in range(len(CLASSES))) < 0.1


def test_a_complete_set_is_left_alone(tmp_path):
    root = ensure_sample_set(tmp_path / 'sample', **TINY)
    times = {path: path.stat().st_mtime_ns for path in root.rglob('*')}
    assert ensure_sample_set(root, **TINY) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob('*')} == times


def test_other_arguments_replace_the_set(tmp_path):
    root = ensure_sample_set(tmp_path / 'sample', **TINY)
    ensure_sample_set(root, **TINY | {'val': 3})
    assert len(list((root / 'images/validation').iterdir())) == 3
    assert content(root) == content(ensure_sample_set(tmp_path / 'other', **TINY | {'val': 3}))


def test_lost_files_are_drawn_again(tmp_path):
    root = ensure_sample_set(tmp_path / 'sample', **TINY)
    whole = content(root)
    (root / 'annotations/training/training_0002.png').unlink()
    assert content(ensure_sample_set(root, **TINY)) == whole


def test_what_an_interrupted_process_left_is_cleared_away(tmp_path):
    whole = content(ensure_sample_set(tmp_path / 'other', **TINY))
    unfinished = tmp_path / '.sample.new' / 'images' / 'training'
    unfinished.mkdir(parents=True)
    (unfinished / 'training_0009.jpg').write_bytes(b'half')
    shutil.copytree(tmp_path / 'other', tmp_path / '.sample.old')
    assert content(ensure_sample_set(tmp_path / 'sample', **TINY)) == whole
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {'other', 'sample'}


def draw_tiny(root: Path) -> dict[str, bytes]:
    return content(ensure_sample_set(root, **TINY))


def test_processes_that_draw_at_once_do_not_disturb_each_other(tmp_path):
    with ProcessPoolExecutor(3) as pool:
        one, two, three = pool.map(draw_tiny, [tmp_path / 'sample'] * 3)
    assert one == two == three == draw_tiny(tmp_path / 'other')


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path):
    (tmp_path / 'photo.jpg').write_bytes(b'dear')
    with pytest.raises(FileExistsError, match='left alone'):
        ensure_sample_set(tmp_path, **TINY)
    assert (tmp_path / 'photo.jpg').read_bytes() == b'dear'


@pytest.mark.parametrize('wrong', [{'train': 0}, {'val': -1}, {'size': 16}, {'seed': -1}])
def test_impossible_arguments(tmp_path, wrong):
    with pytest.raises(ValueError, match=f'{next(iter(wrong))}={next(iter(wrong.values()))}'):
        ensure_sample_set(tmp_path / 'sample', **TINY | wrong)


def test_dataset_draws_its_files_and_loads_them(tmp_path):
    pipeline = [
        {'type': 'denseformer.LoadImage'},
        {'type': 'denseformer.LoadSegmentation', 'num_classes': len(CLASSES)},
        {'type': 'mmseg.PackSegInputs'},
    ]
    dataset = DATASETS.build(
        {
            'type': 'denseformer.SampleDataset',
            'data_root': str(tmp_path / 'sample'),
            'data_prefix': {'img_path': 'images/validation', 'seg_map_path': 'annotations/validation'},
            **TINY,
            'pipeline': pipeline,
        }
    )
    assert dataset.metainfo['classes'] == CLASSES
    assert [tuple(color) for color in dataset.metainfo['palette']] == list(PALETTE)
    assert len(dataset) == TINY['val']
    item = dataset[0]
    assert item['inputs'].shape == (3, 64, 64)
    assert item['data_samples'].gt_sem_seg.data.shape == (1, 64, 64)


def test_a_lazy_dataset_draws_nothing_yet(tmp_path):
    dataset = DATASETS.build(
        {'type': 'denseformer.SampleDataset', 'data_root': str(tmp_path / 'sample'), **TINY, 'lazy_init': True}
    )
    assert not (tmp_path / 'sample').exists()
    dataset.full_init()
    assert len(dataset) == TINY['train']
