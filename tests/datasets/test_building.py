"""Datasets made to harm: files outside their folders are refused, broken annotations named, odd images survived."""

import json
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.registry.utils import init_default_scope

from denseformer.datasets.building import DatasetError, build_dataset
from denseformer.datasets.restoration.hyperspectral import LoadCube
from denseformer.datasets.restoration.transforms import LoadImagePair
from denseformer.engine import Runner
from denseformer.inspection import doctor

JSON = {
    'deep': '[' * 100_000,
    'deep objects': '{"images": ' * 50_000,
    'cut': '{"images": [{"id": 1, "file_na',
    'empty': '',
    'binary': '\0\1\2',
    'list': '[]',
    'numbers': '7',
    'wrong kinds': '{"images": 5, "annotations": {}, "categories": "x"}',
    'wrong rows': '{"images": [1, 2], "annotations": [3], "categories": [4]}',
    'a number of 5000 digits': '{"images": [{"id": %s}], "annotations": [], "categories": []}' % ('9' * 5000),
}
COCO = dict(type='denseformer.CocoDataset', metainfo=dict(classes=('a',)), ann_file='list.json', pipeline=[])
SEGMENTATION = dict(type='BaseSegDataset', metainfo=dict(classes=('a', 'b')), img_suffix='.png', seg_map_suffix='.png')


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')


def coco(folder, **changes):
    return {**COCO, 'data_root': str(folder), 'data_prefix': dict(img='images'), **changes}


def write_list(folder, *names: str) -> None:
    images = [{'id': i, 'file_name': name, 'width': 9, 'height': 9} for i, name in enumerate(names)]
    box = {'image_id': 0, 'category_id': 1, 'bbox': [0, 0, 4, 4], 'area': 16, 'iscrowd': 0}
    boxes = [{**box, 'id': i, 'image_id': i} for i in range(len(names))]
    content = {'images': images, 'annotations': boxes, 'categories': [{'id': 1, 'name': 'a'}]}
    (folder / 'list.json').write_text(json.dumps(content))


def loader(dataset):
    sampler = dict(type='DefaultSampler', shuffle=False)
    return Runner.build_dataloader(dict(dataset=dataset, sampler=sampler, batch_size=1, num_workers=0))


@pytest.mark.parametrize('name', JSON)
def test_a_broken_annotation_file_is_named(tmp_path, name):
    (tmp_path / 'list.json').write_text(JSON[name])
    with pytest.raises(ValueError, match=r'list\.json'):
        loader(coco(tmp_path))
    report = doctor.examine_dataset(coco(tmp_path), None)
    assert {problem.kind for problem in report.problems} == {'annotation'}
    assert all('list.json' in problem.file for problem in report.problems)


@pytest.mark.parametrize('name', ['../../secret.png', '/etc/passwd', 'a/../../../b.png'])
@pytest.mark.parametrize('wrap', [dict, lambda part: dict(type='RepeatDataset', times=2, dataset=part)])
def test_a_file_outside_the_folders_is_refused(tmp_path, name, wrap):
    write_list(tmp_path, 'inside.png', name)
    with pytest.raises(DatasetError, match=r'list\.json: lists .* outside'):
        loader(wrap(coco(tmp_path)))


def test_files_below_the_folders_of_the_config_are_not(tmp_path):
    write_list(tmp_path, 'a.png', 'deeper/b.png', 'deeper/../c.png')
    assert len(loader(coco(tmp_path)).dataset) == 3
    write_list(tmp_path, str(tmp_path / 'elsewhere/a.png'))
    assert len(loader(coco(tmp_path, data_prefix=dict(img=str(tmp_path / 'elsewhere')))).dataset) == 1


def test_a_list_of_names_leads_nowhere_else(tmp_path):
    init_default_scope('mmseg')
    root = tmp_path / 'set'
    (root / 'images').mkdir(parents=True)
    for place in (root / 'images/a.png', tmp_path / 'b.png'):
        place.touch()
    (root / 'train.txt').write_text('a\n../../b\n')
    prefix = dict(img_path='images', seg_map_path='labels')
    with pytest.raises(DatasetError, match=r'train\.txt: lists'):
        loader(dict(SEGMENTATION, data_root=str(root), data_prefix=prefix, ann_file='train.txt', pipeline=[]))


ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(['id', 'image_id', 'category_id', 'file_name', 'width', 'height', 'bbox', 'area', 'name']),
        st.none() | st.integers(-1, 3) | st.text(max_size=4) | st.lists(st.integers(-5, 5), max_size=5),
    ),
    max_size=3,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(('images', 'annotations', 'categories'), ROWS)))
def test_any_annotation_file_is_read_or_named(tmp_path, content):
    (tmp_path / 'list.json').write_text(json.dumps(content))
    try:
        build_dataset(coco(tmp_path))
    except ValueError as error:
        assert 'list.json' in str(error)  # noqa: PT017 (both outcomes are right)


def png(width: int, height: int) -> bytes:
    """A PNG file of a few zeros, whatever its header says."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    rows = zlib.compress(bytes(20))
    header = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', rows) + chunk(b'IEND', b'')


def examine(root, image: bytes | np.ndarray, label: bytes | np.ndarray) -> list[str]:
    """The doctor's findings for one image and its label map."""
    init_default_scope('mmseg')
    for folder, content in (('images', image), ('labels', label)):
        (root / folder).mkdir()
        if isinstance(content, bytes):
            (root / folder / 'x.png').write_bytes(content)
        else:
            cv2.imwrite(str(root / folder / 'x.png'), content)
    pipeline = [dict(type='denseformer.LoadImage'), dict(type='denseformer.LoadSegmentation', num_classes=2)]
    prefix = dict(img_path='images', seg_map_path='labels')
    config = dict(SEGMENTATION, data_root=str(root), data_prefix=prefix, pipeline=pipeline)
    return [problem.message for problem in doctor.examine_dataset(config, None).problems if problem.kind == 'file']


@pytest.mark.parametrize('size', [(0, 0), (0, 7), (2**31 - 1, 2**31 - 1), (60_000, 60_000)])
def test_an_absurd_size_is_refused_in_images_and_labels(tmp_path, size):
    sound = np.zeros((4, 4), np.uint8)
    for name, files in {'image': (png(*size), sound), 'label': (sound, png(*size))}.items():
        (tmp_path / name).mkdir()
        (message,) = examine(tmp_path / name, *files)
        assert 'x.png' in message


@pytest.mark.parametrize('size', [(0, 0), (2**31 - 1, 2**31 - 1), (30_000, 30_000)])
def test_an_absurd_size_is_refused_in_restoration(tmp_path, size):
    (tmp_path / 'x.png').write_bytes(png(*size))
    with pytest.raises(ValueError, match=r'x\.png'):
        LoadImagePair()({'gt_path': str(tmp_path / 'x.png')})


def array_file(header: str) -> bytes:
    """A .npy file of a few zeros, whatever its header says."""
    return b'\x93NUMPY\x01\x00' + struct.pack('<H', len(header)) + header.encode() + bytes(20)


CUBES = {
    'empty.npy': b'',
    'rubbish.npy': b'rubbish',
    'objects.npy': array_file("{'descr': '|O', 'fortran_order': False, 'shape': (1, 1, 1)}"),
    'absurd.npy': array_file("{'descr': '<f4', 'fortran_order': False, 'shape': (1048576, 1048576, 1048576)}"),
    'call.npy': array_file("__import__('os').getcwd()"),
    'empty.mat': b'',
    'cut.mat': b'MATLAB 5.0 MAT-file'.ljust(124) + b'\x00\x01IM' + b'\x0f\x00\x00\x00\xff\xff\xff\x7f' + b'x',
    'rubbish.tif': b'II*\x00\xff\xff\xff\x7f',
}


@pytest.mark.parametrize('name', CUBES)
def test_a_broken_cube_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(CUBES[name])
    with pytest.raises(ValueError, match=name.replace('.', r'\.')):
        LoadCube(peak=1)({'gt_path': str(tmp_path / name)})


def entities(levels: int) -> str:
    """An xml file that grows tenfold with each level."""
    inner = ''.join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, levels))
    return f'<!DOCTYPE a [<!ENTITY e0 "grow">{inner}]><annotation>&e{levels - 1};</annotation>'


XML = {
    'entities that grow': entities(12),
    'an entity of another file': '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotation>&e;</annotation>',
    'cut': '<annotation><object>',
    'no xml': '\0\1',
    'words for numbers': '<annotation><size><width>x</width></size></annotation>',
    'a number of 5000 digits': f'<annotation><size><width>{"9" * 5000}</width></size></annotation>',
    'no such image': '<annotation></annotation>',
}


@pytest.mark.parametrize('name', XML)
def test_a_broken_xml_file_is_named(tmp_path, name):
    for folder in ('Annotations', 'JPEGImages'):
        (tmp_path / folder).mkdir()
    (tmp_path / 'train.txt').write_text('x')
    (tmp_path / 'Annotations/x.xml').write_text(XML[name])
    boxes = dict(type='denseformer.XMLDataset', metainfo=dict(classes=('a',)), ann_file='train.txt', pipeline=[])
    with pytest.raises(ValueError, match=r'x\.xml'):
        loader({**boxes, 'data_root': str(tmp_path), 'data_prefix': dict(sub_data_root='')})


@pytest.mark.parametrize('shape', [(1, 1), (1, 300), (300, 1)])
def test_images_of_one_row_or_column_are_read(tmp_path, shape):
    assert examine(tmp_path, np.full((*shape, 3), 9, np.uint8), np.ones(shape, np.uint8)) == []


@pytest.mark.parametrize(
    'label', [b'text', b'\x89PNG\r\n\x1a\n', np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 60_000, np.uint16)]
)
def test_label_maps_of_another_kind_are_named(tmp_path, label):
    (message,) = examine(tmp_path, np.zeros((4, 4, 3), np.uint8), label)
    assert 'x.png' in message
