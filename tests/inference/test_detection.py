"""Instances are filtered, merged across windows, drawn and written as COCO has them."""

import json

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
from PIL import Image
from pycocotools import mask as rle

from denseformer.inference import Predictor, predict_folder
from denseformer.inference.detection import DetectionTask
from denseformer.inference.predictor import task_of
from denseformer.inference.task import Settings

CLASSES = ('square', 'other')
CONFIG = Config(
    {
        'default_scope': 'mmengine',
        'test_pipeline': [{'type': 'denseformer.LoadImage'}],
        'num_classes': 2,
        'test_dataloader': {
            'dataset': {
                'type': 'mmengine.BaseDataset',
                'metainfo': {'classes': CLASSES, 'palette': [(255, 0, 0), (0, 255, 0)]},
            }
        },
    }
)


class BaseDetector(torch.nn.Module):
    """Stands for mmdetection's: finds bright areas, one box and mask around each connected one."""

    largest = 10_000
    panoptic = False

    def test_step(self, batch):
        return [self.find(np.asarray(pixels)) for pixels in batch['inputs']]

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
    made = task_of(CONFIG, detector or BaseDetector(), Settings(**settings))
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
def test_windows_give_each_instance_once(squares, tile):
    whole, tiled = predict(task(score=0), squares), predict(task(score=0, tile=tile), squares)
    order, order_tiled = (np.lexsort(result.boxes.T) for result in (whole, tiled))
    assert np.array_equal(whole.boxes[order], tiled.boxes[order_tiled])
    assert np.array_equal(whole.masks[order], tiled.masks[order_tiled])


def test_running_out_of_memory_goes_on_in_windows(squares):
    detector = BaseDetector()
    detector.largest = 500
    assert len(predict(task(detector, score=0), squares).boxes) == 4


def test_an_image_without_instances(squares):
    result = predict(task(tile=300), squares * 0)
    assert result.boxes.shape == (0, 4)
    assert result.facts()['found'] == {}


def test_files_are_those_of_coco(squares, tmp_path):
    result = predict(task(score=0), squares)
    result.save(tmp_path / 'a.json')
    entries = json.loads((tmp_path / 'a.json').read_text())
    sizes = {tuple(entry['bbox']): entry for entry in entries}
    assert (20.0, 30.0, 40.0, 40.0) in sizes
    mask = sizes[(20.0, 30.0, 40.0, 40.0)]['segmentation']
    assert rle.decode({**mask, 'counts': mask['counts'].encode()}).sum() == 1600
    assert sorted(result.outputs()) == ['instances', 'overlay']
    assert result.plot().size == (800, 600)


def test_panoptic_maps_number_their_segments(squares, tmp_path):
    detector = BaseDetector()
    detector.panoptic = True
    result = predict(task(detector), squares)
    result.save_panoptic(tmp_path / 'a.png')
    result.save_segments(tmp_path / 'a.json')
    segments = json.loads((tmp_path / 'a.json').read_text())['segments_info']
    numbers = np.asarray(Image.open(tmp_path / 'a.png')).astype(int) @ [1, 256, 65536]
    assert sorted(np.unique(numbers)) == [segment['id'] for segment in segments]
    assert sum(segment['area'] for segment in segments) == numbers.size
    assert {segment['category'] for segment in segments} == set(CLASSES)
    assert result.plot().size == (800, 600)


def test_a_folder_of_detections(squares, tmp_path):
    predictor = Predictor.__new__(Predictor)
    predictor.task = task(score=0)
    Image.fromarray(squares).save(tmp_path / 'a.png')
    summary = predict_folder(predictor, tmp_path / 'a.png', tmp_path / 'out', report=True)
    assert summary['failures'] == []
    assert (tmp_path / 'out/instances/a.json').is_file()
    assert (tmp_path / 'out/overlays/a.jpg').is_file()
