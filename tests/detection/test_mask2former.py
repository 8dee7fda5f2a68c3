"""Mask2Former for each task: a training step and a prediction on uneven sizes, and its loss against mmdetection's."""

import math

import pytest
import torch
from learning import objects
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, TASK_UTILS, init_default_scope
from mmengine.structures import InstanceData, PixelData
from torch.nn.functional import interpolate

from denseformer.config.loading import load_config
from denseformer.detection.mask2former.fusion import MaskFusion
from denseformer.detection.mask2former.model import Mask2FormerHead
from denseformer.detection.mask2former.points import match_queries

SMALL = {
    'backbone.pretrained': None,
    'backbone.arch': dict(_delete_=True, width=32, depths=(1, 1, 1, 1), heads=(1, 2, 4, 8), mlp_ratio=2),
    'backbone.dilations': 'none',
    'backbone.kernel_size': 3,
    'head': dict(num_queries=6, width=32, num_heads=4, encoder_layers=1, decoder_layers=3, num_points=64),
}
SIZES = ((97, 75), (64, 120))


def build(task: str, **overrides):
    torch.manual_seed(0)
    config = load_config(f'configs/mask2former_dinat_large_{task}_ade20k.py', {**SMALL, **overrides})
    init_default_scope(config.default_scope)
    return MODELS.build(config.model), config


def picture(size: tuple[int, int], boxes: list[list[int]], stuff: int | None = None):
    """An image and what it shows: (3, H, W) uint8, and a sample with one filled box per object of class 1."""
    sample = objects(*size, boxes, [1] * len(boxes))
    if stuff is not None:
        sample.gt_sem_seg = PixelData(sem_seg=torch.full((1, *size), stuff))
    return torch.randint(0, 255, (3, *size), dtype=torch.uint8), sample


def labelled(size: tuple[int, int], label: int):
    """An image and its label map, of one class from top to bottom on its left half, 255 on its right."""
    from mmseg.structures import SegDataSample

    labels = torch.full((1, *size), 255)
    labels[..., : size[1] // 2] = label
    sample = SegDataSample(metainfo=dict(img_shape=size, ori_shape=size))
    sample.gt_sem_seg = PixelData(data=labels)
    return torch.randint(0, 255, (3, *size), dtype=torch.uint8), sample


def pictures(task: str):
    """Two images, the second without a single object."""
    if task == 'semantic':
        return [labelled(SIZES[0], 3), labelled(SIZES[1], 255)]
    stuff = (120, 255) if task == 'panoptic' else (None, None)
    boxes = [[10, 20, 60, 80], [30, 5, 31, 6]]
    return [picture(SIZES[0], boxes, stuff[0]), picture(SIZES[1], [], stuff[1])]


def as_batch(samples) -> dict:
    return {'inputs': [image for image, _ in samples], 'data_samples': [sample for _, sample in samples]}


@pytest.mark.parametrize('task', ['semantic', 'instance', 'panoptic'])
def test_trains_and_predicts(task):
    model, config = build(task, **({'crop_size': (128, 128)} if task == 'semantic' else {}))
    samples = pictures(task)
    losses = model(**model.data_preprocessor(as_batch(samples), training=True), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []

    model.eval()
    with torch.no_grad():
        for image, sample in samples:
            (found,) = model.test_step(as_batch([(image, sample)]))
            if task == 'semantic':
                assert found.pred_sem_seg.data.shape == (1, *image.shape[1:])
                assert found.pred_sem_seg.data.max() < config.num_classes
                continue
            instances = found.pred_instances
            assert instances.masks.shape == (len(instances), *image.shape[1:])
            assert instances.labels.lt(100).all()
            assert ('pred_panoptic_seg' in found) == (task == 'panoptic')
            if task == 'panoptic':
                assert found.pred_panoptic_seg.sem_seg.shape == (1, *image.shape[1:])


@pytest.mark.parametrize('task', ['instance', 'panoptic'])
def test_a_batch_without_any_object_trains(task):
    model, _ = build(task)
    samples = [picture(size, [], 255 if task == 'panoptic' else None) for size in SIZES]
    losses = model(**model.data_preprocessor(as_batch(samples), training=True), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    assert model.panoptic_head.mask_embed[0].weight.grad is not None


def test_trains_under_bfloat16():
    model, _ = build('panoptic')
    batch = model.data_preprocessor(as_batch(pictures('panoptic')), training=True)
    with torch.autocast('cpu', torch.bfloat16):
        total, _ = model.parse_losses(model(**batch, mode='loss'))
    total.backward()
    assert torch.isfinite(total)


def test_semantic_scores_of_sliding_windows_are_as_large_as_the_image():
    model, _ = build('semantic', **{'crop_size': (64, 64)})
    model.test_cfg.update(mode='slide', crop_size=(64, 64), stride=(48, 48))
    model.eval()
    with torch.no_grad():
        (found,) = model.test_step(as_batch([labelled((97, 120), 3)]))
    assert found.seg_logits.data.shape == (150, 97, 120)


def test_loads_the_authors_checkpoint_of_the_backbone(tmp_path):
    model, _ = build('instance')
    official = {
        key.replace('stages.', 'levels.').replace('attn.bias.table', 'attn.rpb'): value + 1
        for key, value in model.backbone.state_dict().items()
        if '.blocks.0.norm1.' in key
    }
    path = tmp_path / 'dinat.pth'
    torch.save({'state_dict': official}, path)
    other, _ = build('instance', **{'backbone.init_cfg': dict(type='Pretrained', checkpoint=str(path))})
    other.init_weights()
    for stage in range(4):
        name = f'stages.{stage}.blocks.0.norm1.weight'
        torch.testing.assert_close(other.backbone.state_dict()[name], model.backbone.state_dict()[name] + 1)


def random_outputs(head: Mask2FormerHead, truth: list[InstanceData]):
    scores = [torch.randn(len(truth), head.num_queries, head.num_classes + 1, requires_grad=True) for _ in range(2)]
    masks = [torch.randn(len(truth), head.num_queries, 16, 24, requires_grad=True) for _ in range(2)]
    return scores, masks


def test_the_losses_are_those_of_mmdetection():
    """From the same random points, where every image has objects: mmdetection counts one without as if it had one."""
    from mmdet.models.dense_heads import Mask2FormerHead as MMDetHead

    head = build('panoptic')[0].panoptic_head
    truth = [
        InstanceData(labels=torch.tensor([1, 120, 7]), masks=torch.randint(0, 2, (3, 64, 96))),
        InstanceData(labels=torch.tensor([5]), masks=torch.ones((1, 64, 96), dtype=torch.long)),
    ]
    scores, masks = random_outputs(head, truth)

    def losses_and_gradients():
        torch.manual_seed(1)
        losses = head.loss_by_feat(scores, masks, truth, [{}] * len(truth))
        return losses, torch.autograd.grad(sum(losses.values()), scores + masks)

    ours, our_gradients = losses_and_gradients()
    costs = [
        dict(type='mmdet.ClassificationCost', weight=2.0),
        dict(type='mmdet.CrossEntropyLossCost', weight=5.0, use_sigmoid=True),
        dict(type='mmdet.DiceCost', weight=5.0, pred_act=True, eps=1.0),
    ]
    head.assigner = TASK_UTILS.build(dict(type='mmdet.HungarianAssigner', match_costs=costs))
    head.sampler = TASK_UTILS.build(dict(type='mmdet.MaskPseudoSampler'))
    head.oversample_ratio, head.importance_sample_ratio = 3.0, 0.75
    head._loss_by_feat_single = lambda *arguments: MMDetHead._loss_by_feat_single(head, *arguments)
    theirs, their_gradients = losses_and_gradients()
    assert ours.keys() == theirs.keys()
    for name, loss in theirs.items():
        torch.testing.assert_close(ours[name], loss.squeeze(), rtol=1e-5, atol=1e-5)
    for our, their in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-4, atol=1e-6)


def test_nan_reaches_the_loss_and_does_not_stop_the_matching():
    masks = torch.full((4, 8, 8), math.nan)
    queries, labels = match_queries(
        torch.randn(4, 3), masks, torch.tensor([0, 1]), torch.ones(2, 8, 8), torch.rand(16, 2)
    )
    assert len(queries) == len(labels) == 2


def test_each_label_goes_to_the_query_that_fits_it():
    targets = torch.zeros(3, 32, 32)
    targets[0, :16], targets[1, 16:, :16], targets[2, 16:, 16:] = 1, 1, 1
    order = torch.tensor([2, 0, 1])
    masks = torch.cat([torch.full((1, 32, 32), -9.0), (targets[order] - 0.5) * 18])
    queries, labels = match_queries(torch.zeros(4, 4), masks, torch.tensor([0, 1, 2]), targets, torch.rand(200, 2))
    assert queries.tolist() == [1, 2, 3]
    assert labels.tolist() == order.tolist()


def fuse(scores, masks, **options):
    fusion = MaskFusion(num_classes=3, num_stuff=1, **options)
    H, W = masks.shape[-2:]
    sample = InstanceData(metainfo=dict(img_shape=(H, W), ori_shape=(H, W), batch_input_shape=(H, W)))
    (found,) = fusion.predict(scores[None], masks[None], [sample], rescale=True)
    return found['ins_results'], found['pan_results'].sem_seg[0]


def test_fusion_finds_what_mmdetection_finds():
    from mmdet.models.seg_heads.panoptic_fusion_heads import MaskFormerFusionHead

    torch.manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(80.0), indexing='ij')
    centres, radii = torch.rand(12, 2, 1, 1) * 60, torch.rand(12, 1, 1) * 6 + 3
    masks = (radii - torch.hypot(rows - centres[:, 0], columns - centres[:, 1])).clamp(-6, 6)
    scores = torch.randn(12, 4)
    scores[torch.arange(12), torch.randint(0, 4, (12,))] += 12
    sizes = dict(batch_input_shape=(256, 320), img_shape=(240, 300), ori_shape=(120, 150))
    sample = InstanceData(metainfo=sizes)
    theirs = MaskFormerFusionHead(
        num_things_classes=2,
        num_stuff_classes=1,
        test_cfg=ConfigDict(panoptic_on=True, instance_on=True, max_per_image=30, filter_low_score=True),
    )
    enlarged = interpolate(masks[None], sizes['batch_input_shape'], mode='bilinear')
    (expected,) = theirs.predict(scores[None], enlarged, [sample], rescale=True)
    ours = MaskFusion(num_classes=3, num_stuff=1, max_per_image=30)
    (found,) = ours.predict(scores[None], masks[None], [sample], rescale=True)
    assert torch.equal(found['pan_results'].sem_seg, expected['pan_results'].sem_seg)
    assert len(found['pan_results'].sem_seg.unique()) > 3
    for name in ('scores', 'labels', 'masks', 'bboxes'):
        torch.testing.assert_close(found['ins_results'][name], expected['ins_results'][name])


def test_fusion_draws_things_and_stuff_that_are_sure():
    scores = torch.full((4, 4), -10.0)
    for query, label in enumerate((0, 2, 1, 3)):  # a thing, stuff, a thing without a pixel, nothing
        scores[query, label] = 10.0
    masks = torch.full((4, 8, 8), -10.0)
    masks[0, :4], masks[1, 4:], masks[3] = 10.0, 10.0, 10.0
    instances, panoptic = fuse(scores, masks)
    assert panoptic[:4].unique().tolist() == [1000]
    assert panoptic[4:].unique().tolist() == [2]
    best = instances[instances.scores > 0.5]
    assert best.labels.tolist() == [0]
    assert best.bboxes.tolist() == [[0, 0, 8, 4]]


def test_fusion_leaves_out_what_loses_most_of_its_mask():
    scores = torch.full((2, 4), -10.0)
    scores[0, 0], scores[1, 1] = 10.0, 10.0
    masks = torch.full((2, 8, 8), 10.0)
    masks[1, :, :6] = 5.0  # less sure than the first on three quarters of the image
    masks[0, :, 6:] = -10.0
    _, panoptic = fuse(scores, masks)
    assert panoptic[:, :6].unique().tolist() == [1000]
    assert panoptic[:, 6:].unique().tolist() == [3]


def test_fusion_finds_nothing_where_no_query_is_sure():
    instances, panoptic = fuse(torch.zeros(2, 4), torch.full((2, 8, 8), -1.0))
    assert panoptic.unique().tolist() == [3]
    assert len(instances) == 0
    assert instances.masks.shape == (0, 8, 8)


@pytest.mark.parametrize('numbers', [dict(num_classes=3, num_stuff=4), dict(num_classes=3, width=40)])
def test_numbers_that_contradict_one_another_are_an_error(numbers):
    with pytest.raises(ValueError, match=r'must be|is a part'):
        Mask2FormerHead(in_channels=(8, 8, 8, 8), **numbers)
