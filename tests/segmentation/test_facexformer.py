"""FaceXFormer: the authors' outputs, facts that are learned and described, and torchvision's names of its encoder."""

import pytest
import refkit
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from denseformer.config.loading import load_config
from denseformer.inference import Predictor
from denseformer.registry import MODELS
from denseformer.segmentation.facexformer import FACTS, fourier_positions, rotation_loss, rotations

SWIN = dict(type='denseformer.UNetSwin', arch=dict(width=8, depths=(1, 1, 1, 1), heads=(1, 1, 1, 1)))
HEAD = dict(
    type='denseformer.FaceXFormerHead', in_channels=(8, 16, 32, 64), channels=32, heads=2, hidden=32, num_classes=3
)


@pytest.fixture(autouse=True)
def default_scope():
    init_default_scope('mmseg')


def build(**options) -> nn.Module:
    return MODELS.build(
        ConfigDict(
            type='denseformer.FaceXFormer',
            data_preprocessor=dict(type='SegDataPreProcessor'),
            backbone=SWIN,
            decode_head=dict(HEAD, loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True), **options),
            test_cfg=dict(mode='whole'),
        )
    )


def test_agrees_with_the_authors_code_under_the_authors_names():
    channels = (128, 256, 512, 1024)
    head = MODELS.build(dict(type='denseformer.FaceXFormerHead', in_channels=channels, num_classes=11))

    def outputs(head: nn.Module, image: Tensor) -> list[Tensor]:
        return list(head.analyze(refkit.make_pyramid(image, channels)).values())

    assert refkit.check(head, 'facexformer/decoder', outputs) < 1e-4


def faces(*known: dict) -> list[SegDataSample]:
    samples = [SegDataSample(metainfo=dict(face=face) if face else {}) for face in known]
    for sample in samples:
        sample.gt_sem_seg = PixelData(data=torch.zeros(1, 64, 64, dtype=torch.long))
    return samples


def test_facts_are_learned_from_the_images_that_have_them():
    torch.manual_seed(0)
    model = build(facts=dict(landmarks=4, attributes=3, age=8))
    images = torch.randn(3, 3, 64, 64)
    samples = faces(dict(attributes=[1, 0, 1]), dict(attributes=[0, 1, 0], landmarks=[[0.1, 0.2], [0.3, 0.4]]), {})
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    totals = []
    for _ in range(12):
        losses = model(images, samples, mode='loss')
        total, _ = model.parse_losses(losses)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append((losses['decode.loss_attributes'] + losses['decode.loss_landmarks']).item())
    assert losses['decode.loss_age'] == 0  # no image has one
    assert totals[-1] < 0.7 * totals[0]
    assert all(p.grad is not None for p in model.parameters())


def test_poses_are_as_far_apart_as_the_angle_between_them():
    turn = torch.tensor([[0.3, 0.0, 0.0], [0.0, -0.7, 0.0], [0.0, 0.0, 3.0]], dtype=torch.double)
    for angles, expected in zip(turn, (0.3, 0.7, 3.0), strict=True):
        assert rotation_loss(angles[None], 0 * angles[None]).item() == pytest.approx(expected, abs=1e-5)
    found = torch.tensor([[0.2, 0.5, -0.1]], dtype=torch.double)
    other = torch.tensor([[0.2 + torch.pi, torch.pi - 0.5, torch.pi - 0.1]], dtype=torch.double)
    assert rotation_loss(found, other).item() == pytest.approx(0, abs=1e-6)  # the same pose by other turns
    down = rotations(torch.tensor([[torch.pi / 2, 0.0, 0.0]]))[0] @ torch.tensor([0.0, 1.0, 0.0])
    assert torch.allclose(down, torch.tensor([0.0, 0.0, 1.0]), atol=1e-6)
    found.requires_grad_()
    rotation_loss(found, found.detach()).backward()
    assert not found.grad.isnan().any()


def test_facts_are_described_in_the_units_of_a_reader():
    model = build().eval()
    (facts,) = model.describe(torch.randn(1, 3, 64, 96), [(128, 192)])
    assert list(facts) == list(FACTS)
    assert torch.tensor(facts['landmarks']).shape == (68, 2)
    assert set(facts['head_pose']) == {'pitch', 'yaw', 'roll'}
    assert len(facts['attributes']) == 40
    assert all(0 <= chance <= 1 for chance in facts['attributes'])
    assert facts['gender']['class'] in (0, 1)
    with torch.no_grad():
        raw = model.decode_head.analyze(model.backbone(torch.zeros(1, 3, 64, 96)))['landmarks'][0, :2]
    (facts,) = model.describe(torch.zeros(1, 3, 64, 96), [(128, 192)])
    x, y = facts['landmarks'][0]
    assert ((2 * x + 1) / 192 - 1, (2 * y + 1) / 128 - 1) == pytest.approx(raw.tolist(), abs=1e-3)


def test_torchvisions_names_of_the_encoder_load():
    model = build()
    shapes = {key: value.shape for key, value in model.backbone.swin.state_dict().items()}
    named = {
        'backbone.0.0.0.weight': 'patch_embed.proj.weight',
        'backbone.0.0.2.bias': 'patch_embed.norm.bias',
        'backbone.0.1.0.attn.qkv.weight': 'stages.0.blocks.0.attn.qkv.weight',
        'backbone.0.1.0.attn.relative_position_bias_table': 'stages.0.blocks.0.attn.bias.table',
        'backbone.0.3.0.mlp.0.weight': 'stages.1.blocks.0.mlp.fc1.weight',
        'backbone.0.7.0.mlp.3.bias': 'stages.3.blocks.0.mlp.fc2.bias',
        'backbone.0.4.reduction.weight': 'stages.2.downsample.reduction.weight',
        'backbone.0.6.norm.weight': 'stages.3.downsample.norm.weight',
    }
    given = {theirs: torch.full(shapes[ours], 0.5) for theirs, ours in named.items()}
    given |= {'backbone.1.weight': torch.ones(64), 'backbone.0.1.0.attn.relative_position_index': torch.zeros(49)}
    assert not model.load_state_dict(given, strict=False).unexpected_keys
    own = model.backbone.swin.state_dict()
    assert all((own[ours] == 0.5).all() for ours in named.values())


def test_positions_are_the_frequencies_at_the_centers_of_pixels():
    frequencies = torch.tensor([[0.25, 0.0], [0.0, 0.125]])
    first = fourier_positions(frequencies, (2, 4))[0]
    phases = 2 * torch.pi * torch.tensor([-0.75 * 0.25, -0.5 * 0.125])
    assert torch.allclose(first, torch.cat([phases.sin(), phases.cos()]))


@pytest.mark.parametrize(
    ('options', 'match'), [(dict(facts=dict(mood=2)), 'mood'), (dict(channels=20), 'multiple of 8')]
)
def test_what_does_not_fit_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        MODELS.build({**HEAD, **options})


@pytest.mark.parametrize('facts', [{}, {'age': 8}])
def test_export_says_that_facts_are_left_out(facts, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(MMLogger, 'warning', lambda self, text: said.append(text))
    config = load_config('configs/facexformer_dinat_nano_sample.py', {'facts': {'_delete_': True, **facts}})
    Predictor(config, device='cpu').task.exportable()
    assert [fact in text for fact in facts for text in said] == [True] * len(facts)
    assert len(said) == len(facts)
