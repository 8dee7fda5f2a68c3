"""Isomer: the authors' outputs and names, what attention changes, learning, frames with flow, J and F."""

import numpy as np
import pytest
import refkit
import torch
from learning import learn
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from denseformer.registry import MODELS
from denseformer.segmentation.video_metric import VideoObjectMetric, contour, decay, region_similarity

STREAM = dict(type='denseformer.MiT', arch=dict(widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), heads=(1, 1, 2, 2)))


def build(**options) -> nn.Module:
    init_default_scope('mmseg')
    return MODELS.build(
        dict(
            type='denseformer.VideoObjectSegmentor',
            data_preprocessor=dict(type='denseformer.FlowPreProcessor', mean=[127.0] * 3, std=[64.0] * 3),
            backbone=dict(type='denseformer.Isomer', stream=STREAM, heads=2, num_points=8, **options),
            decode_head=dict(
                type='denseformer.IsomerHead',
                in_channels=(8, 8, 16, 16),
                channels=16,
                loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
            ),
            test_cfg=ConfigDict(mode='whole'),
        )
    )


def test_shares_context_as_the_authors_code_under_the_authors_names():
    layer = MODELS.build(dict(type='denseformer.ContextSharingTransformer', in_channels=32, dim_feedforward=256))

    def joined(layer: nn.Module, image: torch.Tensor) -> torch.Tensor:
        return layer(image, refkit.make_input(dict(input=image.shape, seed=100, kind='normal')))

    assert refkit.check(layer, 'isomer/cst_mit_b0_0', joined) < 1e-4


SCATTERING = dict(type='denseformer.SemanticGatheringScatteringTransformer', in_channels=16, dim_feedforward=32)
OFFICIAL_SCATTERING = {
    'generate_heat_map.sal_conv.bias': (1,),
    'fg_soft_weights.weight': (5, 16, 1, 1),
    'bg_self_attention_layers.0.self_attn.in_proj_weight': (48, 16),
    'fg_self_attention_layers.0.norm.bias': (16,),
    'bg_ffn_layers.0.linear1.weight': (32, 16),
    'fg_ffn_layers.0.dwconv.dwconv.bias': (32,),
    'fg_ffn_layers.0.norm.bias': (16,),
    'project.bias': (16,),
}


@torch.no_grad()
@pytest.mark.parametrize('scatter', [False, True])
def test_coarse_levels_are_projected_and_attended_to_only_the_papers_way(scatter):
    torch.manual_seed(0)
    layer = MODELS.build(dict(SCATTERING, select_tokens=5, scatter=scatter)).eval()
    left = layer.load_state_dict({key: torch.ones(shape) for key, shape in OFFICIAL_SCATTERING.items()}, strict=False)
    assert not left.unexpected_keys
    image, flow = torch.randn(2, 16, 6, 7), torch.randn(2, 16, 6, 7)
    projected = layer.project(torch.cat([image, flow], 1))
    if not scatter:
        assert torch.equal(layer(image, flow), projected)
        return
    nn.init.zeros_(layer.saliency.bias)
    nn.init.zeros_(layer.saliency.weight)[0, 0] = 1
    joined, front = layer(image, flow), (projected[:, 0] >= 0)
    tokens = projected[1].flatten(1).mT
    weighted = tokens.mT * tokens[:, 0].sigmoid()
    at = front[1].flatten()
    torch.testing.assert_close(joined[1].flatten(1).mT[at], layer.foreground(tokens[at], weighted))
    nn.init.constant_(layer.saliency.bias, 50)
    assert torch.equal(layer(image, flow), layer.project(torch.cat([image, flow], 1)))  # all is foreground


def test_learns_what_moves_and_predicts_at_any_size():
    torch.manual_seed(0)
    model = build(scatter=True)
    labels = torch.zeros(2, 64, 64, dtype=torch.long)
    labels[0, 10:40, 8:40] = labels[1, 20:60, 30:60] = 1
    pairs = torch.cat([torch.rand(2, 3, 64, 64), labels[:, None].expand(-1, 3, -1, -1)], 1) - 0.5
    samples = [SegDataSample(gt_sem_seg=PixelData(data=each[None])) for each in labels]
    totals = learn(model, dict(inputs=pairs, data_samples=samples), steps=25, rate=1e-2)
    assert min(totals[-3:]) < 0.7 * totals[0]
    everywhere = [p.grad for name, p in model.named_parameters() if 'ground' not in name and 'saliency' not in name]
    assert all(grad is not None for grad in everywhere)
    model.eval()
    sample = SegDataSample(metainfo=dict(img_shape=(75, 90), ori_shape=(75, 90)))
    with torch.no_grad():
        found = model(torch.randn(1, 6, 75, 90), [sample], mode='predict')[0].pred_sem_seg.data
    assert found.shape == (1, 75, 90)
    assert set(found.unique().tolist()) <= {0, 1}


def test_the_authors_names_of_the_whole_network_load():
    model = build()
    official = {
        'module.backbone_x.patch_embed1.proj.bias': torch.full((8,), 1.0),
        'module.backbone_y.block2.0.attn.q.bias': torch.full((8,), 2.0),
        'module.fusion_module0.project.bias': torch.full((8,), 3.0),
        'module.fusion_module3.bg_soft_weights.bias': torch.full((30,), 4.0),
        'module.decode_head.linear_c3.proj.bias': torch.full((16,), 5.0),
        'module.decode_head.linear_project.bn.bias': torch.full((4,), 6.0),
        'module.decode_head.linear_saliency_pred.bias': torch.full((1,), 7.0),
    }
    assert not model.load_state_dict(official, strict=False).unexpected_keys
    backbone, head = model.backbone, model.decode_head
    assert (backbone.image.patch_embed.proj.bias == 1).all()
    assert (backbone.flow.stages[1].blocks[0].attn.q.bias == 2).all()
    assert (backbone.fusions[0].project.bias == 3).all()
    assert (head.levels[2].bias == 5).all()
    assert (head.refine.bn.bias == 6).all()
    assert (head.conv_seg.bias == 7).all()
    assert not any(build().load_state_dict(model.state_dict()))


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match='hidden_dim=8'):
        MODELS.build(dict(SCATTERING, hidden_dim=8))
    with pytest.raises(ValueError, match='2 maps'):
        MODELS.build(dict(type='denseformer.Isomer', stream=dict(STREAM, out_indices=(1, 2))))


def slow_contour(found: np.ndarray, true: np.ndarray) -> float:
    """F by its definition: every pixel of a contour is compared with every one of the other."""

    def line(mask: np.ndarray) -> list[tuple[int, int]]:
        H, W = mask.shape
        ahead = ((0, 1), (1, 0), (1, 1))
        return [
            (y, x)
            for y in range(H)
            for x in range(W)
            if any(mask[y, x] != mask[min(y + dy, H - 1), min(x + dx, W - 1)] for dy, dx in ahead)
        ]

    reach = np.ceil(0.008 * np.hypot(*true.shape))
    lines = line(found), line(true)
    if not all(lines):
        return float(not any(lines))
    shares = []
    for one, other in (lines, lines[::-1]):
        near = [any(np.hypot(y - v, x - u) <= reach for v, u in other) for y, x in one]
        shares.append(sum(near) / len(near))
    return 2 * shares[0] * shares[1] / sum(shares) if sum(shares) else 0.0


def blob(seed: int, H: int = 30, W: int = 41) -> np.ndarray:
    y, x, r = np.random.default_rng(seed).uniform((5, 5, 4), (25, 35, 12))
    rows, columns = np.mgrid[:H, :W]
    return np.hypot(rows - y, columns - x) < r


@pytest.mark.parametrize(('found', 'true'), [(0, 1), (2, 3), (4, 4), (5, 6)])
def test_j_and_f_are_what_their_definitions_say(found, true):
    found, true = blob(found), blob(true)
    pairs = [(bool(a), bool(b)) for a, b in zip(found.ravel(), true.ravel(), strict=True)]
    expected = sum(a and b for a, b in pairs) / sum(a or b for a, b in pairs)
    assert region_similarity(found, true) == pytest.approx(expected)
    assert contour(found, true) == pytest.approx(slow_contour(found, true))


def test_masks_without_an_object_agree_with_each_other_alone():
    nothing = np.zeros((30, 41), bool)
    assert region_similarity(nothing, nothing) == contour(nothing, nothing) == 1
    assert region_similarity(nothing, blob(0)) == contour(nothing, blob(0)) == contour(blob(0), nothing) == 0


def test_scores_are_means_over_the_frames_of_a_video_and_then_over_videos():
    def frame(video: str, number: int, good: bool) -> dict:
        true = torch.from_numpy(blob(number))[None].long()
        found = true if good else torch.zeros_like(true)
        return dict(
            img_path=f'/davis/{video}/{number:05d}.jpg', pred_sem_seg=dict(data=found), gt_sem_seg=dict(data=true)
        )

    metric = VideoObjectMetric()
    metric.process(None, [frame('bear', number, number < 6) for number in range(8)])
    metric.process(None, [frame('dog', number, True) for number in range(4)])
    scores = metric.evaluate(12)
    assert scores['J_mean'] == scores['F_mean'] == scores['J&F'] == scores['J_recall'] == 87.5
    assert metric.per_video == {'bear': {'J': 75.0, 'F': 75.0}, 'dog': {'J': 100.0, 'F': 100.0}}
    assert scores['J_decay'] == pytest.approx(33.33, abs=0.01)
    ends = VideoObjectMetric(skip_first=True, skip_last=True)
    ends.process(None, [frame('bear', number, number in (1, 2)) for number in range(4)])
    assert ends.evaluate(4)['J&F'] == 100
    assert decay(np.array([1.0, 1.0, 0.0, 0.0, 0.0])) == 1
