"""Instances are filtered, merged across tiles, drawn and written as COCO has them."""

import json
import sys

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.structures import InstanceData, PixelData
from PIL import Image
from predicting import CONFIG as SEGMENTATION
from pycocotools import mask as rle

from denseformer.inference import Predictor
from denseformer.inference.coco import annotations_of
from denseformer.inference.detection import DetectionTask
from denseformer.inference.predictor import task_of
from denseformer.options import PredictionOptions

CLASSES = ('square', 'other')
CONFIG = Config(
    {
        'default_scope': 'mmengine',
        'test_pipeline': [{'type': 'denseformer.LoadImage'}, {'type': 'mmdet.PackDetInputs'}],
        'num_classes': 2,
        'test_dataloader': {
            'dataset': {
                'type': 'mmengine.BaseDataset',
                'metainfo': {'classes': CLASSES, 'palette': [(255, 0, 0), (0, 255, 0)]},
            }
        },
    }
)


class BaseDetector(BaseModel):
    """Stands for mmdetection's: finds bright areas, one box and mask around each connected one."""

    largest = 10_000
    num_things_classes = 1
    panoptic = False

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, inputs, data_samples, mode):
        assert mode == 'predict'
        self.sizes.append(len(inputs))
        found = [self.find(np.asarray(pixels)) for pixels in inputs]
        for one, sample in zip(found, data_samples, strict=True):
            one.set_metainfo(sample.metainfo)
        return found

    def find(self, pixels) -> DetDataSample:
        import cv2

        if max(pixels.shape[:2]) > self.largest:
            raise MemoryError
        count, regions = cv2.connectedComponents((pixels[..., 0] > 128).astype(np.uint8))
        masks = np.stack([regions == i for i in range(1, count)]) if count > 1 else np.zeros((0, *regions.shape), bool)
        places = [np.nonzero(mask) for mask in masks]
        boxes = [(x.min(), y.min(), x.max() + 1, y.max() + 1) for y, x in places]
        sample = DetDataSample()
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            scores=torch.linspace(0.9, 0.1, len(masks)) if len(masks) > 1 else torch.full((len(masks),), 0.9),
            labels=torch.zeros(len(masks), dtype=torch.long),
            masks=torch.from_numpy(masks),
        )
        if self.panoptic:
            map_ = np.where(regions > 0, 1000 * regions, 1)
            sample.pred_panoptic_seg = PixelData(sem_seg=torch.from_numpy(map_)[None])
        return sample


def task(detector=None, **settings) -> DetectionTask:
    made = task_of(CONFIG, detector or BaseDetector(), PredictionOptions(device='cpu', **settings))
    made.pipeline = lambda sample: {'inputs': sample['img'], 'data_samples': DetDataSample()}
    return made


def predict(made, pixels):
    from denseformer.inference.sources import find_items

    (item,) = find_items(pixels)
    prepared = made.prepare(item)
    return made.predict([prepared])[0]


@pytest.fixture
def squares():
    pixels = np.zeros((600, 800, 3), np.uint8)
    for left, top, side in [(20, 30, 40), (270, 250, 120), (600, 60, 300), (500, 500, 30)]:
        pixels[top : top + side, left : left + side] = 255
    return pixels


def test_instances_below_the_score_are_left_out(squares):
    result = predict(task(score=0.5), squares)
    assert len(result.boxes) == 2
    assert result.instances.scores.min() >= 0.5
    assert result.masks.shape == (2, 600, 800)


@pytest.mark.parametrize('tile', [300, 350, 512])
def test_tiles_give_each_instance_once(squares, tile):
    whole, tiled = predict(task(score=0), squares), predict(task(score=0, tile=tile), squares)
    order, order_tiled = (np.lexsort(result.boxes.T) for result in (whole, tiled))
    assert np.array_equal(whole.boxes[order], tiled.boxes[order_tiled])
    assert np.array_equal(whole.masks[order], tiled.masks[order_tiled])


class HastyDetector(BaseDetector):
    """Also takes some gray spots for squares, others in each tile that it sees, and doubts the lower half of a square.

    A spot's place in the tile decides: an error of a detector depends on what it sees around.
    """

    def find(self, pixels) -> DetDataSample:
        sample = super().find(pixels)
        squares = sample.pred_instances.bboxes
        lower = squares.clone()
        lower[:, 1] = squares[:, 1] * 0.4 + squares[:, 3] * 0.6
        gray = super().find(np.where((pixels > 64) & (pixels < 128), 255, 0)).pred_instances.bboxes
        spots = gray[(gray[:, :2].sum(1) // 7) % 3 == 0]
        scores = [torch.full((len(boxes),), score) for boxes, score in ((squares, 0.9), (lower, 0.2), (spots, 0.5))]
        boxes = torch.cat([squares, lower, spots])
        sample.pred_instances = InstanceData(
            bboxes=boxes, scores=torch.cat(scores), labels=torch.zeros(len(boxes), dtype=torch.long)
        )
        return sample


@pytest.fixture
def mosaic():
    """3 x 3 scenes of 160 pixels, in each a few bright squares and gray spots; and the squares' boxes."""
    rng = np.random.default_rng(0)
    pixels, boxes = np.zeros((480, 480, 3), np.uint8), []
    for scene in range(9):
        top, left = np.array(divmod(scene, 3)) * 160
        cells = rng.permutation(9)
        for cell, (value, side) in zip(cells, [(255, 44), (255, 36), (90, 8), (90, 9), (90, 7), (90, 8)], strict=False):
            y, x = np.array([top, left]) + np.array(divmod(cell, 3)) * 52 + rng.integers(2, 7, 2)
            pixels[y : y + side, x : x + side] = value
            if value == 255:
                boxes.append([x, y, x + side, y + side])
    return pixels, np.array(boxes)


def precision_and_recall(found, expected):
    """At an intersection over union of 0.5."""
    corners = np.minimum(found[:, None, 2:], expected[None, :, 2:]) - np.maximum(
        found[:, None, :2], expected[None, :, :2]
    )
    both = corners.clip(min=0).prod(-1)
    sizes = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (found, expected)]
    right = both / (sizes[0][:, None] + sizes[1] - both) >= 0.5
    return right.any(0).sum() / len(found), right.any(0).mean()


@pytest.mark.parametrize('tile', [128, 160, 200, 256, 300])
def test_tiles_find_every_object_and_no_more_errors_than_the_whole_image(mosaic, tile):
    pixels, expected = mosaic
    whole = precision_and_recall(predict(task(HastyDetector()), pixels).boxes, expected)
    tiled = precision_and_recall(predict(task(HastyDetector(), tile=tile), pixels).boxes, expected)
    assert tiled[1] == whole[1] == 1
    assert tiled[0] > whole[0] - 0.05


def test_neighbors_share_a_quarter_of_a_tile_unless_the_settings_name_an_overlap():
    assert task(tile=400)._tiling(400).overlap == 100
    assert task(tile=400, overlap=50)._tiling(400).overlap == 50


def test_running_out_of_memory_goes_on_in_tiles(squares):
    detector = BaseDetector()
    detector.largest = 500
    assert len(predict(task(detector, score=0), squares).boxes) == 4


def test_an_image_without_instances(squares):
    result = predict(task(tile=300), squares * 0)
    assert result.boxes.shape == (0, 4)
    assert result.record()['found'] == {}


def test_the_files_of_an_image_are_in_the_words_of_coco(squares, tmp_path):
    result = predict(task(score=0), squares)
    result.save(tmp_path / 'a.json')
    entries = json.loads((tmp_path / 'a.json').read_text())
    (entry,) = [entry for entry in entries if entry['bbox'] == [20, 30, 40, 40]]
    mask = entry.pop('segmentation')
    decoded = rle.decode({**mask, 'counts': mask['counts'].encode()}).astype(bool)
    assert decoded[30:70, 20:60].all()
    assert decoded.sum() == entry['area'] == 1600
    assert (entry['category_id'], entry['category'], entry['iscrowd']) == (1, 'square', 0)
    assert sorted(result.outputs()) == ['instances', 'overlay']
    assert result.plot().size == (800, 600)


class Describing(BaseDetector):
    """Tells of two attributes of each area, of which the second is likely."""

    def find(self, pixels) -> DetDataSample:
        sample = super().find(pixels)
        sample.pred_instances.attributes = torch.tensor([[0.25, 0.75]]).repeat(len(sample.pred_instances), 1)
        return sample


@pytest.mark.parametrize('settings', [{}, {'tile': 300}, {'tta': True}], ids=['whole', 'tiles', 'copies'])
def test_attributes_are_named_where_the_dataset_names_them(squares, settings):
    made = task(Describing(), score=0.5, **settings)
    if settings.get('tta'):
        sample = {'inputs': [squares] * 2, 'data_samples': [DetDataSample(metainfo=dict(ori_shape=(600, 800)))] * 2}
        made.pipeline = lambda _: sample
    made.attributes = ('long', 'loose')
    result = predict(made, squares)
    first, *_ = annotations_of(result.instances, CLASSES, result.attributes)
    assert first['attributes'] == {'loose': 0.75}
    assert annotations_of(result.instances, CLASSES)[0]['attributes'] == {'1': 0.75}
    assert result.caption(0) == f'square {result.instances.scores[0]:.2f}, loose'


def test_tiles_go_through_together_as_many_as_asked_for(squares):
    detector = BaseDetector()
    alone = predict(task(detector, score=0, tile=300), squares)
    together = predict(task(detector, score=0, tile=300, batch_size=4), squares)
    assert detector.sizes[0] == 1
    assert max(detector.sizes) == 4
    assert np.array_equal(alone.boxes, together.boxes)


def test_tiles_are_halved_when_they_do_not_fit_either(squares):
    detector = BaseDetector()
    detector.largest = 300
    made = task(detector, score=0, tile=600)
    assert len(predict(made, squares).boxes) == 4
    assert made.tile == 300
    detector.largest = 200
    with pytest.raises(MemoryError):
        predict(made, squares)


def test_classes_that_are_not_wanted_are_left_out(squares):
    assert len(predict(task(score=0, classes=['square']), squares).boxes) == 4
    assert len(predict(task(score=0, classes=['other']), squares).boxes) == 0
    with pytest.raises(ValueError, match=r"no class 'squares'.*did you mean 'square'"):
        task(classes=['squares'])
    with pytest.raises(ValueError, match='square, other'):
        task(classes=['12'])


def test_tiles_smaller_than_their_overlap_are_refused_before_any_image():
    with pytest.raises(ValueError, match='too small'):
        task(tile=100, overlap=128)


def test_only_detectors_take_classes(checkpoint):
    with pytest.raises(ValueError, match='leave out --classes'):
        Predictor(SEGMENTATION, checkpoint, device='cpu', classes=['star'])


def test_without_supervision_the_error_says_what_to_install(squares, monkeypatch):
    monkeypatch.setitem(sys.modules, 'supervision', None)
    with pytest.raises(ImportError, match=r'pip install .denseformer\[supervision\]'):
        predict(task(), squares).to_supervision()


@pytest.fixture
def panoptic():
    detector = BaseDetector()
    detector.panoptic = True
    return detector


def test_panoptic_maps_number_their_segments(panoptic, squares, tmp_path):
    result = predict(task(panoptic), squares)
    result.save_panoptic(tmp_path / 'a.png')
    result.save_segments(tmp_path / 'a.json')
    segments = json.loads((tmp_path / 'a.json').read_text())
    numbers = np.asarray(Image.open(tmp_path / 'a.png')).astype(int) @ [1, 256, 65536]
    assert sorted(np.unique(numbers)) == [segment['id'] for segment in segments]
    assert sum(segment['area'] for segment in segments) == numbers.size
    assert {segment['category'] for segment in segments} == set(CLASSES)
    (small,) = [segment for segment in segments if segment['area'] == 1600]
    assert small['bbox'] == [20, 30, 40, 40]
    assert result.output_image().size == (800, 600)
    assert result.plot().height > 600  # a legend


def test_a_panoptic_map_has_nothing_where_classes_are_left_out(panoptic, squares):
    result = predict(task(panoptic, classes=['square']), squares)
    assert ((result.panoptic > 0) == (squares[..., 0] > 0)).all()
    assert set(result.segments) == {0}


def test_panoptic_maps_of_tiles_are_that_of_the_whole_image(panoptic, squares):
    whole, tiled = predict(task(panoptic), squares), predict(task(panoptic, tile=300), squares)
    assert sorted(tiled.segments) == sorted(whole.segments) == [0, 0, 0, 0, 1]
    pairs = np.unique(np.stack([whole.panoptic, tiled.panoptic]).reshape(2, -1), axis=1)
    assert pairs.shape[1] == 5  # each segment of one map is one segment of the other


def mirrored_copies(sample):
    """The pipeline of a test-time augmentation."""
    image = sample['img']
    metas = [{'ori_shape': image.shape[:2], 'flip': flip, 'flip_direction': 'horizontal'} for flip in (True, False)]
    return {
        'inputs': [np.ascontiguousarray(image[:, ::-1]), image],
        'data_samples': [DetDataSample(metainfo=meta) for meta in metas],
    }


@pytest.mark.parametrize('tile', [None, 300])
def test_copies_give_each_instance_and_segment_once(panoptic, squares, tile):
    plain, augmented = task(panoptic, score=0), task(panoptic, score=0, tta=True, tile=tile)
    augmented.pipeline = mirrored_copies
    one, two = predict(plain, squares), predict(augmented, squares)
    order, other_order = (np.lexsort(result.boxes.T) for result in (one, two))
    assert np.array_equal(one.boxes[order], two.boxes[other_order])
    assert np.array_equal(one.masks[order], two.masks[other_order])
    assert sorted(two.segments) == sorted(one.segments)
    pairs = np.unique(np.stack([one.panoptic, two.panoptic]).reshape(2, -1), axis=1)
    assert pairs.shape[1] == 5
