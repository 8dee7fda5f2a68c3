"""Datasets of faces in the layouts that are published: parts in files of their own, and CelebA's splits."""

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from denseformer.registry import DATASETS

PIPELINE = [
    dict(type='denseformer.LoadImage'),
    dict(type='denseformer.LoadSegmentation', num_classes=19),
    dict(type='RandomFlip', prob=1.0, swap_seg_labels=[(4, 5)]),
    dict(type='PackSegInputs', meta_keys=('img_path', 'flip', 'face')),
]


@pytest.fixture(autouse=True)
def default_scope():
    init_default_scope('mmseg')


def rectangle(left: int, right: int) -> Image.Image:
    mask = np.zeros((4, 8, 3), np.uint8)
    mask[:, left:right] = 255
    return Image.fromarray(mask)


@pytest.fixture
def root(tmp_path):
    """Two images of 8 x 16 with masks of 4 x 8: a face with glasses and eyes, and one of another split."""
    (tmp_path / 'CelebA-HQ-img').mkdir()
    folders = [tmp_path / f'CelebAMask-HQ-mask-anno/{i}' for i in (0, 1)]
    for folder, number in zip(folders, (3, 2000), strict=True):
        Image.fromarray(np.zeros((8, 16, 3), np.uint8)).save(tmp_path / f'CelebA-HQ-img/{number}.jpg')
        folder.mkdir(parents=True)
        rectangle(0, 8).save(folder / f'{number:05d}_skin.png')
    rectangle(1, 5).save(folders[0] / '00003_eye_g.png')
    rectangle(1, 2).save(folders[0] / '00003_l_eye.png')
    rectangle(4, 6).save(folders[0] / '00003_r_eye.png')
    rows = 'idx orig_idx orig_file', '3 100 a.jpg', '2000 190000 b.jpg'
    (tmp_path / 'CelebA-HQ-to-CelebA-mapping.txt').write_text('\n'.join(rows))
    rows = '2', 'Bald Smiling', '3.jpg  -1 1', '2000.jpg 1 -1'
    (tmp_path / 'CelebAMask-HQ-attribute-anno.txt').write_text('\n'.join(rows))
    return tmp_path


def load(root, kind: str, split: str, pipeline=PIPELINE):
    dataset = DATASETS.build(dict(type=f'denseformer.{kind}', data_root=str(root), split=split, pipeline=pipeline))
    (sample,) = list(dataset)
    return dataset, sample['data_samples']


def test_parts_cover_one_another_and_have_the_size_of_the_image(root):
    pipeline = [step for step in PIPELINE if step['type'] != 'RandomFlip']
    dataset, sample = load(root, 'CelebAMaskHQDataset', 'train', pipeline)
    assert dataset.attribute_names == ('Bald', 'Smiling')
    assert sample.face == {'attributes': [0, 1]}
    labels = sample.gt_sem_seg.data[0]
    assert labels.shape == (8, 16)
    assert labels[0].tolist() == [1, 1, 4, 4, 3, 3, 3, 3, 5, 5, 5, 5, 1, 1, 1, 1]


def test_a_mirrored_face_has_its_sides_exchanged(root):
    _, sample = load(root, 'CelebAMaskHQDataset', 'train')
    assert sample.gt_sem_seg.data[0, 0].tolist() == [1, 1, 1, 1, 4, 4, 4, 4, 3, 3, 3, 3, 5, 5, 1, 1]


def test_merged_parts_are_background_where_lapa_has_none(root):
    pipeline = [step for step in PIPELINE if step['type'] != 'RandomFlip']
    dataset, sample = load(root, 'MergedCelebAMaskHQDataset', 'train', pipeline)
    assert len(dataset.metainfo['classes']) == 11
    assert sample.gt_sem_seg.data[0, 0].tolist() == [1, 1, 4, 4, 0, 0, 0, 0, 5, 5, 5, 5, 1, 1, 1, 1]


def test_images_are_split_as_in_celeba(root):
    _, sample = load(root, 'CelebAMaskHQDataset', 'test')
    assert sample.img_path.endswith('2000.jpg')
    with pytest.raises(ValueError, match='split of CelebAMask-HQ'):
        load(root, 'CelebAMaskHQDataset', 'trainval')


def test_an_image_without_masks_is_named(root):
    for mask in (root / 'CelebAMask-HQ-mask-anno/0').iterdir():
        mask.unlink()
    with pytest.raises(ValueError, match=r'3\.jpg'):
        load(root, 'CelebAMaskHQDataset', 'train')


@pytest.mark.parametrize(
    ('file', 'text', 'message'),
    [
        ('CelebA-HQ-to-CelebA-mapping.txt', 'titles\n3;100;a.jpg', "mapping.txt': '3;100;a.jpg' is not as published"),
        ('CelebAMask-HQ-attribute-anno.txt', '2\nBald Smiling\n3.jpg 1', 'names 2 attributes; 3.jpg has 1'),
        (
            'CelebAMask-HQ-attribute-anno.txt',
            '2\nBald Smiling\n4.jpg 1 1',
            r'3\.jpg. has no line in CelebAMask-HQ-attr',
        ),
        ('CelebAMask-HQ-attribute-anno.txt', '2', r'3\.jpg. has no line in CelebAMask-HQ-attr'),
        ('CelebAMask-HQ-mask-anno/0/00003_tongue.png', '', r'00003_tongue\.png.* is not as published'),
    ],
)
def test_what_is_not_as_published_is_named(root, file, text, message):
    (root / file).write_text(text)
    with pytest.raises(ValueError, match=message):
        load(root, 'CelebAMaskHQDataset', 'train')


def test_lapa_is_read_as_it_is_published(tmp_path):
    for folder in ('images', 'labels'):
        (tmp_path / 'train' / folder).mkdir(parents=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / 'train/images/a.jpg')
    Image.fromarray(np.full((4, 4), 10, np.uint8)).save(tmp_path / 'train/labels/a.png')
    dataset = DATASETS.build(
        dict(
            type='denseformer.LaPaDataset',
            data_root=str(tmp_path),
            data_prefix=dict(img_path='train/images', seg_map_path='train/labels'),
            pipeline=[dict(type='denseformer.LoadSegmentation', num_classes=11), dict(type='PackSegInputs')],
        )
    )
    assert dataset.metainfo['classes'][10] == 'hair'
    assert (dataset[0]['data_samples'].gt_sem_seg.data == 10).all()
