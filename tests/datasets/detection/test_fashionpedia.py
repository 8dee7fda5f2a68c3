"""Objects with attributes: read from a COCO file, chosen together with their classes, and packed."""

import json

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from denseformer.datasets import FashionpediaDataset
from denseformer.registry import DATASETS


@pytest.fixture(autouse=True)
def default_scope():
    init_default_scope('mmdet')


def square(x: float, y: float, side: float) -> list[list[float]]:
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


@pytest.fixture
def root(tmp_path):
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / 'a.png')
    places = [(2, 2, 20), (30, 2, 0.5), (36, 36, 24)]  # the second one is too small to be taken
    rows = [
        dict(id=i + 1, image_id=1, category_id=i % 2 + 1, bbox=[x, y, side, side], area=side * side, iscrowd=0)
        | dict(segmentation=square(x, y, side), attribute_ids=[[4], [4, 6], [6, 2]][i])
        for i, (x, y, side) in enumerate(places)
    ]
    content = dict(
        images=[dict(id=1, file_name='a.png', width=64, height=64)],
        annotations=rows,
        categories=[dict(id=1, name='coat'), dict(id=2, name='belt')],
        attributes=[dict(id=6, name='loose'), dict(id=2, name='long'), dict(id=4, name='plain')],
    )
    (tmp_path / 'all.json').write_text(json.dumps(content))
    return tmp_path


def build(root, steps=(), num_attributes=3, **metainfo):
    return DATASETS.build(
        dict(
            type='denseformer.AttributeDataset',
            data_root=str(root),
            ann_file='all.json',
            data_prefix=dict(img=''),
            metainfo=dict(classes=('coat', 'belt'), **metainfo),
            pipeline=[
                dict(type='denseformer.LoadImage'),
                dict(type='denseformer.LoadInstances', with_mask=True),
                dict(type='denseformer.LoadAttributes', num_attributes=num_attributes),
                *steps,
                dict(type='denseformer.PackAttributes'),
            ],
        )
    )


def test_attributes_follow_their_ids_and_their_objects(root):
    dataset = build(root)
    assert dataset.attributes == ('long', 'plain', 'loose')
    truth = dataset[0]['data_samples'].gt_instances
    assert truth.labels.tolist() == [0, 0]
    assert truth.attributes.tolist() == [[0, 1, 0], [1, 0, 1]]


def test_what_is_left_out_takes_its_attributes_along(root):
    large = dict(type='FilterAnnotations', min_gt_bbox_wh=(22, 22))
    assert build(root, [large])[0]['data_samples'].gt_instances.attributes.tolist() == [[1, 0, 1]]


def test_what_does_not_fit_is_named(root):
    with pytest.raises(ValueError, match='num_attributes=2'):
        build(root, num_attributes=2)[0]
    with pytest.raises(ValueError, match='not those of metainfo'):
        build(root, attributes=('long', 'plain'))
    content = json.loads((root / 'all.json').read_text())
    (root / 'all.json').write_text(json.dumps({**content, 'attributes': []}))
    with pytest.raises(ValueError, match='CocoDataset'):
        build(root)


def test_fashionpedia_has_46_classes():
    assert len(FashionpediaDataset.METAINFO['classes']) == len(set(FashionpediaDataset.METAINFO['classes'])) == 46
