"""Datasets of mmsegmentation read the lists that people write."""

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from denseformer.datasets.building import build_dataset


@pytest.fixture
def root(tmp_path):
    for folder, suffix in (('images', '.jpg'), ('labels', '.png')):
        (tmp_path / folder / 'more').mkdir(parents=True)
        for name in ('a', 'b', 'more/c'):
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / folder / f'{name}{suffix}')
    return tmp_path


def dataset(root, text: str | None, **options):
    init_default_scope('mmseg')
    config = {
        'type': 'BaseSegDataset',
        'data_root': str(root),
        'data_prefix': {'img_path': 'images', 'seg_map_path': 'labels'},
        'pipeline': [{'type': 'denseformer.LoadImage'}],
        **options,
    }
    if text is not None:
        (root / 'list.txt').write_text(text)
        config['ann_file'] = 'list.txt'
    return build_dataset(config)


@pytest.mark.parametrize(
    'text', ['b\nmore/c\n', 'b.jpg\nmore/c.jpg', '\nb\n\n more/c.jpg \n\n', 'b\r\nmore/c\r\n', None], ids=repr
)
def test_names_have_the_suffix_or_not_and_blank_lines_are_none(root, text):
    built = dataset(root, text)
    infos = [built.get_data_info(i) for i in range(len(built))]
    names = ['b', 'more/c'] if text else ['a', 'b', 'more/c']
    assert [info['img_path'] for info in infos] == [str(root / f'images/{name}.jpg') for name in names]
    assert [info['seg_map_path'] for info in infos] == [str(root / f'labels/{name}.png') for name in names]


def test_an_image_that_is_not_there_is_named_with_its_list(root):
    with pytest.raises(ValueError, match=r"list\.txt' lists 'd', but there is no file '.*images/d\.jpg'"):
        dataset(root, 'a\nd\n')
    with pytest.raises(ValueError, match=r"list\.txt' lists names with backslashes \(more\\c\)"):
        dataset(root, 'more\\c\n')


def test_a_folder_that_is_not_there_or_empty_is_named(root):
    with pytest.raises(ValueError, match=r"no folder '.*photos'. Check data_root"):
        dataset(root, None, data_prefix={'img_path': 'photos'})
    with pytest.raises(ValueError, match=r"BaseSegDataset has no image of '.*images'.* names end in '\.tif'"):
        dataset(root, None, img_suffix='.tif')


def test_datasets_of_the_package_read_lists_so_too(root):
    init_default_scope('mmseg')
    (root / 'list.txt').write_text('a.jpg\n\n')
    prefix = {'img_path': 'images', 'seg_map_path': 'labels'}
    built = DATASETS.build(
        {'type': 'PascalVOCDataset', 'data_root': str(root), 'ann_file': 'list.txt', 'data_prefix': prefix}
    )
    assert [built.get_data_info(i)['img_path'] for i in range(len(built))] == [str(root / 'images/a.jpg')]
