"""Panoptic maps and their json are held against each other, by what loads them and by what scores them."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from denseformer.detection.metrics import PanopticMetric

META = {'classes': ('cube', 'ground'), 'thing_classes': ('cube',), 'stuff_classes': ('ground',)}
LOADING = [{'type': 'denseformer.LoadImage'}, {'type': 'denseformer.LoadPanoptic'}]
CUBE, GROUND = 300, 70007  # as R, G, B: 44, 1, 0 and 119, 17, 1


def drawn() -> tuple[np.ndarray, list[dict]]:
    """Ids (24, 32) of a cube on a ground, with a strip that belongs to nothing, and the segments of the json."""
    ids = np.full((24, 32), GROUND, np.int32)
    ids[4:14, 6:20], ids[-2:] = CUBE, 0
    cube = {'id': CUBE, 'category_id': 1, 'bbox': [6, 4, 14, 10], 'area': 140, 'iscrowd': 0}
    return ids, [cube, {'id': GROUND, 'category_id': 2, 'bbox': [0, 0, 32, 22], 'area': 564, 'iscrowd': 0}]


def as_rgb(ids: np.ndarray) -> np.ndarray:
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)


def write(folder, segments: list[dict], save, *, name: str = 'a.png', isthing: tuple[int, int] = (1, 0)) -> None:
    """save: what writes the map to a path."""
    for sub in ('images', 'maps'):
        (folder / sub).mkdir(exist_ok=True)
    cv2.imwrite(str(folder / 'images/a.png'), np.zeros((24, 32, 3), np.uint8))
    save(folder / 'maps' / name)
    categories = [{'id': i, 'name': c, 'isthing': t} for i, c, t in zip((1, 2), META['classes'], isthing, strict=True)]
    rows = [{'image_id': 1, 'file_name': name, 'segments_info': segments}]
    images = [{'id': 1, 'file_name': 'a.png', 'width': 32, 'height': 24}]
    (folder / 'a.json').write_text(json.dumps({'images': images, 'annotations': rows, 'categories': categories}))


def loaded(folder, **options) -> dict:
    init_default_scope('mmdet')
    files = {'data_root': str(folder), 'ann_file': 'a.json', 'data_prefix': {'img': 'images', 'seg': 'maps'}}
    data = {'type': 'denseformer.CocoPanopticDataset', **files, 'metainfo': META, 'pipeline': LOADING}
    return DATASETS.build({**data, 'serialize_data': False, 'test_mode': True, **options})[0]


def scored(folder) -> dict[str, float]:
    metric = PanopticMetric(data_root=str(folder), ann_file='a.json', seg_prefix='maps')
    metric.dataset_meta = META
    found = np.full((1, 24, 32), 1)
    found[:, 4:14, 6:20] = 1000
    metric.process({}, [{'img_id': 1, 'pred_panoptic_seg': {'sem_seg': torch.from_numpy(found)}}])
    return metric.evaluate(1)


def rgb(ids):
    return lambda path: Image.fromarray(as_rgb(ids)).save(path)


def test_a_sound_map_is_read_and_scored(tmp_path):
    ids, segments = drawn()
    write(tmp_path, segments, rgb(ids))
    assert scored(tmp_path)['PQ'] == 1
    results = loaded(tmp_path)
    assert results['gt_bboxes'].tensor.tolist() == [[6, 4, 20, 14]]
    assert np.bincount(results['gt_seg_map'].ravel(), minlength=256)[[0, 1, 255]].tolist() == [140, 564, 64]


def test_boxes_and_areas_are_those_of_the_map_whatever_the_json_says(tmp_path):
    ids, segments = drawn()
    write(tmp_path, [{**row, 'area': 0, 'bbox': [0, 0, 0, 0]} for row in segments], rgb(ids))
    results = loaded(tmp_path)
    assert results['gt_bboxes'].tensor.tolist() == [[6, 4, 20, 14]]
    assert (results['gt_seg_map'] == 1).sum() == 564
    assert scored(tmp_path)['PQ'] == 1


def gray(ids):
    return lambda path: Image.fromarray((ids % 256).astype(np.uint8)).save(path)


def palette(ids):
    def save(path):
        image = Image.fromarray((ids % 256).astype(np.uint8))
        image.putpalette(list(range(256)) * 3)
        image.save(path)

    return save


FORMATS = {
    'gray': (gray, 'a.png', 'image of mode L'),
    'palette': (palette, 'a.png', 'image of mode P'),
    '16-bit gray': (lambda ids: lambda path: Image.fromarray(ids.astype(np.uint16)).save(path), 'a.png', 'image of'),
    '16-bit RGB': (
        lambda ids: lambda path: cv2.imwrite(str(path), as_rgb(ids).astype(np.uint16)),
        'a.png',
        'image of 16 bits per channel',
    ),
    'JPEG': (rgb, 'a.jpg', 'JPEG image'),
}


@pytest.mark.parametrize('kind', FORMATS)
def test_a_map_in_another_format_is_refused(tmp_path, kind):
    make, name, words = FORMATS[kind]
    ids, segments = drawn()
    write(tmp_path, segments, make(ids), name=name)
    for use in (loaded, scored):
        with pytest.raises(ValueError, match=rf"panoptic map '.*{name}' is .*{words}.*id = R \+ 256 G"):
            use(tmp_path)


def test_colors_in_the_order_of_opencv_are_recognized(tmp_path):
    ids, segments = drawn()
    write(tmp_path, segments, lambda path: cv2.imwrite(str(path), as_rgb(ids)))
    for use in (loaded, scored):
        with pytest.raises(ValueError, match=r'does not list .* and has no pixel of .*R and B are swapped'):
            use(tmp_path)


def test_segments_that_one_side_lacks_are_named(tmp_path):
    ids, segments = drawn()
    write(tmp_path, segments[1:], rgb(ids))
    for use in (loaded, scored):
        with pytest.raises(ValueError, match=r"maps/a\.png' has segments that its json does not list \(300\)\. Pair"):
            use(tmp_path)
    write(tmp_path, [*segments, {**segments[0], 'id': 5}], rgb(ids))
    for use in (loaded, scored):
        with pytest.raises(ValueError, match=r'has no pixel of segments that its json lists \(5\)'):
            use(tmp_path)


def test_segments_of_classes_that_are_left_out_on_purpose_may_be_in_the_map(tmp_path):
    ids, segments = drawn()
    write(tmp_path, segments, rgb(ids))
    meta = {'classes': ('cube',), 'thing_classes': ('cube',), 'stuff_classes': ()}
    results = loaded(tmp_path, metainfo=meta, subset=True)
    assert np.bincount(results['gt_seg_map'].ravel(), minlength=256)[[0, 255]].tolist() == [140, 628]


def test_an_id_that_stands_there_twice_is_an_error(tmp_path):
    ids, segments = drawn()
    write(tmp_path, [*segments, segments[0]], rgb(ids))
    for use in (loaded, scored):
        with pytest.raises(ValueError, match=r"a\.json': segments of image 1 with ids 300 occur more than once"):
            use(tmp_path)


def test_things_and_stuff_are_those_of_the_dataset(tmp_path):
    ids, segments = drawn()
    write(tmp_path, segments, rgb(ids), isthing=(1, 1))
    with pytest.raises(ValueError, match=r"disagree on things and stuff \(isthing\): 'ground'\. Things .*: 'cube'"):
        loaded(tmp_path)
