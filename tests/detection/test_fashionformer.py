"""FashionFormer: the authors' outputs and names, learning with and without attributes, and losses by hand."""

import numpy as np
import pytest
import refkit
import torch
from learning import learn, objects, picture
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from denseformer.detection.fashionformer import losses
from denseformer.detection.fashionformer.losses import Objects
from denseformer.detection.fashionformer.network import KernelProposals, KernelUpdate
from denseformer.registry import MODELS

BOXES = [[4, 4, 30, 30], [10, 34, 50, 60]]


def values(shape: tuple[int, ...], seed: int) -> Tensor:
    return refkit.make_input(dict(input=shape, seed=seed, kind='normal'))


def test_a_stage_agrees_with_the_authors_code():
    def outputs(stage: nn.Module, image: Tensor) -> list[Tensor]:
        h, w = (side // 8 for side in image.shape[2:])
        maps, kernels = refkit.make_pyramid(image, (256,) * 4), values((1, 100, 256), 111)
        found = stage(values((1, 256, h, w), 110), maps, kernels, 3 * values((1, 100, h, w), 112))
        return [found.classes, found.attributes, found.masks, found.kernels[..., None, None]]

    assert refkit.check(KernelUpdate(), 'fashionformer/update_head', outputs) < 1e-4


def detector(**options) -> nn.Module:
    init_default_scope('mmdet')
    head = dict(in_channels=32, num_queries=8, hidden=32, heads=4, num_stages=2, num_classes=2)
    return MODELS.build(
        ConfigDict(
            type='denseformer.FashionFormer',
            data_preprocessor=dict(
                type='DetDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, pad_mask=True, pad_size_divisor=32
            ),
            backbone=dict(type='denseformer.ConvNeXt', arch=dict(width=8, depths=(1, 1, 1, 1))),
            neck=dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=32, num_outs=4),
            mask_head=dict(type='denseformer.FashionFormerHead', **head, **options),
        )
    )


def batch_of(model: nn.Module, height: int = 64, width: int = 64, training: bool = False) -> dict:
    sample = objects(height, width, BOXES, [0, 1])
    sample.gt_instances.attributes = torch.tensor([[1, 0, 1], [0, 1, 0]])
    data = dict(inputs=[picture(height, width, BOXES)], data_samples=[sample])
    return model.data_preprocessor(data, training=training)


@pytest.mark.parametrize(
    'options',
    [dict(num_attributes=3), dict(num_attributes=3, all_levels=False, shared=True), dict(num_attributes=0)],
    ids=['attributes of every level', 'attributes of the objects', 'no attributes'],
)
def test_learns_objects_and_what_they_are_like_at_any_size(options):
    torch.manual_seed(0)
    model = detector(**options)
    batch = batch_of(model, training=True)
    totals = learn(model, batch, steps=8, rate=2e-3)
    assert totals[-1] < 0.7 * totals[0]
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    with torch.no_grad():
        (found,) = model(**batch_of(model, 61, 83), mode='predict')
    instances = found.pred_instances
    assert instances.masks.shape[1:] == (61, 83)
    assert ('attributes' in instances) == bool(options['num_attributes'])
    if 'attributes' in instances:
        assert instances.attributes.shape == (len(instances), 3)


def test_attributes_that_the_data_lacks_are_named():
    model = detector(num_attributes=3)
    batch = batch_of(model, training=True)
    del batch['data_samples'][0].gt_instances.attributes
    with pytest.raises(ValueError, match='LoadAttributes'):
        model(**batch, mode='loss')


def test_the_authors_names_of_a_whole_detector_load():
    model = detector(num_attributes=3)
    own = model.state_dict()
    pyramid = 'rpn_head.localization_fpn', 'mask_head.proposals.pyramid'
    named = {
        'rpn_head.init_kernels.weight': 'mask_head.proposals.kernels.weight',
        f'{pyramid[0]}.convs_all_levels.3.conv2.gn.weight': f'{pyramid[1]}.levels.3.2.gn.weight',
        f'{pyramid[0]}.aux_convs.0.conv.weight': f'{pyramid[1]}.classes.conv.weight',
        'rpn_head.seg_convs.0.gn.bias': 'mask_head.proposals.class_conv.gn.bias',
        'roi_head.mask_head.1.attr_query_update.fc_norm.bias': 'mask_head.stages.1.details.update.fc_norm.bias',
        'roi_head.mask_head.0.fc_cls.weight': 'mask_head.stages.0.classes.3.weight',
    }
    given = {theirs: torch.full_like(own[ours], 0.5) for theirs, ours in named.items()}
    assert not model.load_state_dict(given, strict=False).unexpected_keys
    assert all((model.state_dict()[ours] == 0.5).all() for ours in named.values())


def test_proposals_take_up_the_sum_of_what_their_mask_covers():
    proposals = KernelProposals(32, 2, 4)
    found = proposals([torch.randn(1, 32, side, side) for side in (16, 8, 4, 2)])
    inside = (found.masks[0, 1] > 0).float()
    expected = proposals.kernels.weight[1, :, 0, 0] + (found.feature[0] * inside).sum((1, 2))
    assert torch.allclose(found.kernels[0, 1], expected, atol=1e-4)


def test_queries_are_matched_by_masks_and_classes():
    masks = torch.full((3, 4, 4), -6.0)
    masks[0, :2] = masks[1, :2] = masks[2, 2:] = 6.0
    truth = Objects(torch.tensor([1, 0]), (masks[[2, 0]] > 0).float(), None)
    classes = torch.tensor([[-4.0, -4.0], [4.0, -4.0], [-4.0, -4.0]])
    queries, which = losses.match(masks, classes, truth)
    assert dict(zip(queries.tolist(), which.tolist(), strict=True)) == {1: 1, 2: 0}


def test_an_image_without_objects_teaches_that_there_are_none():
    nothing = Objects(torch.zeros(0, dtype=torch.long), torch.zeros(0, 4, 4), torch.zeros(0, 3))
    masks, classes = torch.randn(1, 5, 4, 4, requires_grad=True), torch.zeros(1, 5, 2)
    matches = losses.match_batch(masks, classes, [nothing])
    found = losses.mask_losses(masks, matches)
    assert (found['mask'].item(), found['dice'].item()) == (0, 0)
    assert losses.attribute_loss(torch.zeros(1, 5, 3), matches).item() == 0
    assert losses.class_loss(classes, matches, torch.tensor(1.0)).item() == pytest.approx(
        losses.CLASS * 10 * 0.75 * 0.25 * np.log(2)
    )
    assert losses.semantic_loss(torch.zeros(1, 2, 4, 4), [nothing]).item() > 0
