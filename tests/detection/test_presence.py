"""SDANet's branch that tells whether an image holds anything: its losses, its gate, and the authors' names."""

import pytest
import torch
from learning import objects
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from torch import Tensor

from denseformer.checkpoints.keys import rename
from denseformer.detection.presence import NAMES, PresenceBranch, scale_gradient
from denseformer.registry import MODELS


def sample(count: int) -> DetDataSample:
    return objects(64, 64, [[8, 8, 40, 40]] * count, [1] * count)


@pytest.fixture
def detector() -> torch.nn.Module:
    init_default_scope('mmdet')
    torch.manual_seed(0)
    return MODELS.build(
        ConfigDict(
            type='denseformer.PresenceDDOD',
            presence_channels=16,
            presence_level=-2,
            presence_weight=0.5,
            data_preprocessor=dict(type='DetDataPreprocessor', mean=[100.0] * 3, std=[60.0] * 3, pad_size_divisor=32),
            backbone=dict(type='denseformer.ConvNeXt', arch=dict(width=8, depths=(1, 1, 1, 1))),
            neck=dict(
                type='denseformer.AttFPN',
                in_channels=(8, 16, 32, 64),
                out_channels=16,
                num_outs=5,
                start_level=1,
                add_extra_convs='on_output',
            ),
            bbox_head=dict(
                type='DDODHead',
                num_classes=2,
                in_channels=16,
                feat_channels=16,
                stacked_convs=1,
                norm_cfg=dict(type='GN', num_groups=4),
                anchor_generator=dict(
                    type='AnchorGenerator', strides=[8, 16, 32, 64, 128], ratios=[1.0], octave_base_scale=4,
                    scales_per_octave=1,
                ),
            ),
            train_cfg=dict(
                assigner=dict(type='ATSSAssigner', topk=4, alpha=0.8),
                reg_assigner=dict(type='ATSSAssigner', topk=4, alpha=0.5),
                allowed_border=-1,
                pos_weight=-1,
            ),
            test_cfg=dict(nms_pre=50, score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=10),
        )
    )  # fmt: skip


def images() -> list[Tensor]:
    """One with a bright square, one without."""
    empty = torch.full((3, 64, 64), 40, dtype=torch.uint8)
    full = empty.clone()
    full[:, 8:40, 8:40] = 200
    return [full, empty]


def decide_always(detector: torch.nn.Module, logit: float) -> None:
    torch.nn.init.zeros_(detector.presence.decide.weight)
    torch.nn.init.constant_(detector.presence.decide.bias, logit)


def test_learns_which_image_is_empty_whatever_its_padding():
    torch.manual_seed(0)
    branch = PresenceBranch(16)
    levels = 0.1 * torch.randn(4, 16, 5, 6)
    levels[:2, :4, 1:3, 1:3] += 2  # objects, in two of four images
    sizes = [(40, 48), (30, 48), (40, 40), (40, 48)]
    truth = torch.tensor([1.0, 1.0, 0.0, 0.0])
    optimizer = torch.optim.AdamW(branch.parameters(), lr=3e-3)
    for _ in range(40):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(branch(levels, sizes, (40, 48)), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert ((branch.eval()(levels, sizes, (40, 48)) > 0) == truth.bool()).all()


def test_nothing_is_scored_in_images_that_seem_empty(detector):
    detector.eval()
    batch = detector.data_preprocessor(dict(inputs=images(), data_samples=[sample(1), sample(0)]))
    with torch.no_grad():
        decide_always(detector, 5.0)
        assert all(found.pred_instances.scores.any() for found in detector(**batch, mode='predict'))
        decide_always(detector, -5.0)
        assert not any(found.pred_instances.scores.any() for found in detector(**batch, mode='predict'))


def test_images_that_seem_empty_train_the_branch_alone(detector):
    decide_always(detector, -5.0)
    batch = detector.data_preprocessor(dict(inputs=images(), data_samples=[sample(1), sample(1)]), training=True)
    losses = detector(**batch, mode='loss')
    detector.parse_losses(losses)[0].backward()
    assert losses['loss_presence'].item() == pytest.approx(0.5 * 5.0067, rel=1e-3)
    assert sum(losses['loss_bbox']) > 0
    assert not any(p.grad.any() for p in detector.bbox_head.parameters())
    assert detector.presence.decide.bias.grad.any()


def test_gradients_are_scaled_and_losses_are_not():
    x = torch.tensor(3.0, requires_grad=True)
    (loss,) = scale_gradient([x**2], 0.25)
    loss.backward()
    assert (loss.item(), x.grad.item()) == (9.0, 1.5)


def test_takes_the_authors_names():
    branch = PresenceBranch(16)
    layer = 'confidence_transformer.decoder.layers.1.'
    official = ['query_embed.weight', 'confidence_fc.bias', 'confidence_transformer.decoder.norm.weight']
    official += [
        layer + name for name in ('multihead_attn.in_proj_weight', 'norm2.weight', 'norm3.bias', 'linear2.bias')
    ]
    renamed = rename({key: torch.zeros(1) for key in official}, *NAMES)
    assert {key.removeprefix('presence.') for key in renamed} <= set(branch.state_dict())
