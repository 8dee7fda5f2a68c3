"""Detectors of mmdetection, and a small one that has learnt its task, predict as the command and Python ask for it."""

import json
from pathlib import Path, PurePosixPath

import mmdet
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from PIL import Image
from pycocotools.coco import COCO
from torch import Tensor, nn

from denseformer.cli import main
from denseformer.engine import load_config
from denseformer.inference import Predictor, predict_folder
from denseformer.inference.predictor import build_model
from denseformer.inference.results import SegmentationResult

MASK_RCNN = 'configs/mask_rcnn_dinat_nano_sample.py'
MASK2FORMER = 'configs/mask2former_dinat_nano_panoptic_sample.py'
SIDE = 128


class SmallBackbone(nn.Sequential):
    def __init__(self):
        layers: list[nn.Module] = []
        for width, wider, stride, dilation in (
            (3, 16, 2, 1),
            (16, 16, 2, 1),
            (16, 32, 2, 1),
            (32, 32, 1, 2),
            (32, 32, 1, 4),
        ):
            layers += [nn.Conv2d(width, wider, 3, stride, dilation, dilation), nn.ReLU()]
        super().__init__(*layers)

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (super().forward(image),)


HEAD = dict(
    type='FCOSHead', num_classes=1, in_channels=32, stacked_convs=1, feat_channels=32, strides=[8],
    regress_ranges=((-1, 1e8),), norm_cfg=None, norm_on_bbox=True, centerness_on_reg=True,
)  # fmt: skip
CONFIG = Config(
    dict(
        default_scope='mmdet',
        num_classes=1,
        model=dict(
            type='SingleStageDetector',
            data_preprocessor=dict(type='DetDataPreprocessor', mean=[60] * 3, std=[80] * 3),
            backbone=dict(type=SmallBackbone),
            bbox_head=HEAD,
            test_cfg=dict(
                nms_pre=100, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=50
            ),
        ),
        test_pipeline=[dict(type='denseformer.LoadImage'), dict(type='PackDetInputs')],
        test_dataloader=dict(dataset=dict(type='CocoDataset', metainfo=dict(classes=('square',)))),
    )
)


def square(rng: np.random.Generator) -> tuple[Tensor, DetDataSample]:
    """A dark image with a bright square, which the border may cut, as the model takes them for training."""
    image = torch.full((3, SIDE, SIDE), int(rng.integers(0, 60)), dtype=torch.uint8)
    side = int(rng.integers(20, 56))
    left, top = rng.integers(-side // 2, SIDE - side // 2, 2).tolist()
    box = torch.tensor([[left, top, left + side, top + side]]).clamp(0, SIDE)
    left, top, right, bottom = box[0].tolist()
    image[:, top:bottom, left:right] = 200
    sample = DetDataSample(metainfo=dict(img_shape=(SIDE, SIDE), ori_shape=(SIDE, SIDE)))
    sample.gt_instances = InstanceData(bboxes=box.float(), labels=torch.zeros(1, dtype=torch.long))
    return image, sample


@pytest.fixture(scope='module')
def learnt(tmp_path_factory):
    """The weights of a detector that has learnt to find squares."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = build_model(CONFIG).train()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(150):
        images, samples = zip(*(square(rng) for _ in range(4)), strict=True)
        data = model.data_preprocessor(dict(inputs=list(images), data_samples=list(samples)), training=True)
        loss, _ = model.parse_losses(model(**data, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    path = tmp_path_factory.mktemp('learnt') / 'squares.pth'
    torch.save({'state_dict': model.state_dict()}, path)
    return path


SQUARES = np.array(
    [[30, 40, 70, 80], [180, 20, 230, 70], [232, 150, 262, 180], [90, 170, 140, 220], [300, 100, 350, 150]]
)


@pytest.fixture
def picture():
    pixels = np.full((256, 384, 3), 30, np.uint8)
    for left, top, right, bottom in SQUARES:
        pixels[top:bottom, left:right] = 200
    return pixels


@pytest.mark.parametrize('tile', [None, 128, 192, 200])
def test_an_object_on_a_seam_is_found_once(learnt, picture, tile):
    predictor = Predictor(CONFIG, learnt, device='cpu', tile=tile, overlap=64, score=0.3)
    (result,) = predictor(picture)
    found = result.boxes[np.lexsort(result.boxes.T)]
    expected = SQUARES[np.lexsort(SQUARES.T)]
    assert len(found) == len(expected), found
    assert np.abs(np.sort(found, 0) - np.sort(expected, 0)).max() < 10


@pytest.mark.parametrize('tile', [None, 192])
def test_copies_of_an_image_show_the_same_objects(learnt, picture, tile):
    plain, augmented = (Predictor(CONFIG, learnt, device='cpu', tile=tile, score=0.3, tta=tta) for tta in (False, True))
    for pixels in (picture, np.ascontiguousarray(picture[:, ::-1])):
        one, two = next(plain(pixels)), next(augmented(pixels))
        assert len(two.boxes) == len(SQUARES)
        assert np.abs(np.sort(one.boxes, 0) - np.sort(two.boxes, 0)).max() < 10
        assert two.instances.scores.sum() >= one.instances.scores.sum()  # the best of both


@pytest.fixture(scope='module')
def mask_rcnn(tmp_path_factory):
    """The weights of an untrained Mask R-CNN, which finds something everywhere."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('mask_rcnn') / 'random.pth'
    torch.save({'state_dict': build_model(load_config(MASK_RCNN)).state_dict()}, path)
    return path


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / 'in'
    (root / 'b').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, (height, width) in {'a.png': (97, 61), 'b/c.png': (160, 230)}.items():
        Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(root / name)
    return root


@pytest.mark.parametrize('flags', [['--tta'], ['--tile', '128', '--overlap', '32', '--native', '--batch-size', '2']])
def test_the_command_writes_boxes_and_masks_of_the_classes_asked_for(mask_rcnn, folder, tmp_path, flags):
    out = tmp_path / 'out'
    command = ['infer', MASK_RCNN, str(mask_rcnn), str(folder), '--out', str(out), '--device', 'cpu', '--score', '0.06']
    assert main([*command, '--classes', 'star', 'moon', *flags]) == 0
    coco = COCO(out / 'instances.json')
    sizes = {image['id']: (image['height'], image['width']) for image in coco.imgs.values()}
    assert {image['file_name'] for image in coco.imgs.values()} == {'a.png', 'b/c.png'}
    assert {coco.cats[a['category_id']]['name'] for a in coco.anns.values()} <= {'star', 'moon'}
    assert len(coco.anns) > 0
    for annotation in coco.anns.values():
        height, width = sizes[annotation['image_id']]
        left, top, w, h = annotation['bbox']
        assert min(left, top) >= 0
        assert left + w <= width + 0.01
        assert top + h <= height + 0.01
        assert annotation['score'] >= 0.06
        assert coco.annToMask(annotation).shape == (height, width)
        assert coco.annToMask(annotation).sum() == annotation['area']
    assert Image.open(out / 'overlays/b/c.jpg').size == (230, 160)


def test_a_panoptic_model_writes_what_coco_calls_a_panoptic_map(folder, tmp_path):
    torch.manual_seed(0)
    fusion = {'model.panoptic_fusion_head.score_threshold': 0.0, 'model.panoptic_fusion_head.kept_share': 0.0}
    predictor = Predictor(load_config(MASK2FORMER, fusion), device='cpu', score=0.0)
    torch.nn.init.normal_(predictor.model.panoptic_head.cls_embed.weight)  # so that queries differ in their classes
    predict_folder(predictor, folder, tmp_path / 'out')
    content = json.loads((tmp_path / 'out/panoptic.json').read_text())
    assert [category['isthing'] for category in content['categories']] == [1] * 5 + [0] * 3
    assert {annotation['file_name'] for annotation in content['annotations']} == {'a.png', 'b/c.png'}
    for annotation in content['annotations']:
        map_ = np.asarray(Image.open(tmp_path / 'out/panoptic' / annotation['file_name'])).astype(int) @ [1, 256, 65536]
        segments = annotation['segments_info']
        assert len(segments) > 1
        assert [segment['id'] for segment in segments] == [i for i in np.unique(map_) if i]
        for segment in segments:
            rows, columns = np.nonzero(map_ == segment['id'])
            left, top, width, height = segment['bbox']
            assert (left, top) == (columns.min(), rows.min())
            assert (left + width, top + height) == (columns.max() + 1, rows.max() + 1)
            assert segment['area'] == len(rows)
        stuff = [segment['category_id'] for segment in segments if segment['category_id'] > 5]
        assert len(stuff) == len(set(stuff))  # stuff is one segment
    things = {annotation['category_id'] for annotation in COCO(tmp_path / 'out/instances.json').anns.values()}
    assert things <= {1, 2, 3, 4, 5}


def test_a_config_of_mmdetection_is_predicted_with():
    name = Path(mmdet.__file__).parent / '.mim/configs/faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
    config = load_config(name, {'model.test_cfg.rcnn.score_thr': 0.0})
    predictor = Predictor(config, device='cpu', native=True, score=0)
    (result,) = predictor(np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8))
    assert result.masks is None
    assert 0 < len(result.boxes) <= 100
    assert result.classes[:2] == ('person', 'bicycle')
    assert result.plot().size == (90, 70)


def test_results_are_detections_of_supervision(learnt, mask_rcnn, picture):
    supervision = pytest.importorskip('supervision')
    (result,) = Predictor(CONFIG, learnt, device='cpu')(picture)
    detections = result.to_supervision()
    assert isinstance(detections, supervision.Detections)
    assert len(detections) == len(SQUARES)
    assert detections.mask is None
    assert set(detections['class_name']) == {'square'}
    annotated = supervision.BoxAnnotator().annotate(picture.copy(), detections)
    assert (annotated != picture).any()

    (result,) = Predictor(MASK_RCNN, mask_rcnn, device='cpu', score=0.06)(picture)
    detections = result.to_supervision()
    assert detections.mask.shape == (len(result.boxes), *picture.shape[:2])
    assert np.array_equal(detections.area, result.masks.sum((1, 2)))
    assert len(result.to_supervision()[:0]) == 0


def test_segmentation_is_detections_of_supervision():
    pytest.importorskip('supervision')
    mask = np.zeros((20, 30), np.uint8)
    mask[5:10, 8:20] = 2
    classes = ('a', 'b', 'c')
    result = SegmentationResult(PurePosixPath('x.png'), np.zeros((20, 30, 3), np.uint8), mask, classes, [(0, 0, 0)] * 3)
    detections = result.to_supervision()
    assert detections['class_name'].tolist() == ['a', 'c']
    assert np.array_equal(detections.mask, [mask == 0, mask == 2])
    assert detections.xyxy[1].tolist() == [8, 5, 19, 9]


def test_an_image_without_objects_has_no_detections_of_supervision(learnt):
    pytest.importorskip('supervision')
    (result,) = Predictor(CONFIG, learnt, device='cpu')(np.full((128, 128, 3), 30, np.uint8))
    assert result.to_supervision().is_empty()
