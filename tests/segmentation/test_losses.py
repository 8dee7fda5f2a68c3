"""Losses for classes of few pixels, against their formulas and in mmsegmentation's heads."""

import pytest
import torch
from mmengine.registry import MODELS

from denseformer.config.loading import load_config
from denseformer.config.shipped import config_folder
from denseformer.segmentation import DiceLoss, FocalLoss, HardPixelLoss, SmoothCrossEntropy, TverskyLoss

LOSSES = (DiceLoss(), TverskyLoss(), FocalLoss(), HardPixelLoss())


def sample(classes=3, seed=0):
    drawn = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 6, 5, generator=drawn, dtype=torch.float64)
    labels = torch.randint(0, max(classes, 2), (2, 6, 5), generator=drawn)
    labels[0, 0] = 255
    return logits, labels


def test_dice_is_the_mean_over_classes_of_the_formula():
    logits, labels = sample()
    chances, counts = logits.softmax(1), labels != 255
    dice = []
    for label in range(3):
        p, t = chances[:, label][counts], (labels[counts] == label).double()
        dice.append((2 * (p * t).sum() + 2) / (p.sum() + t.sum() + 2))
    assert DiceLoss()(logits, labels).item() == pytest.approx(1 - float(sum(dice)) / 3, abs=1e-6)


def test_tversky_weighs_what_is_missed_and_what_is_extra():
    labels = torch.tensor([[[1, 1, 0, 0]]])
    missed = torch.tensor([[[[-20.0, 20.0, -20.0, -20.0]]]])
    extra = torch.tensor([[[[20.0, 20.0, 20.0, -20.0]]]])
    loss = TverskyLoss(alpha=0.2, beta=0.8, smooth=0.0)
    assert loss(missed, labels).item() == pytest.approx(1 - 1 / 1.8, abs=1e-5)
    assert loss(extra, labels).item() == pytest.approx(1 - 2 / 2.2, abs=1e-5)


def test_focal_loss_weighs_the_cross_entropy_by_what_is_wrong():
    logits, labels = sample()
    losses = torch.nn.functional.cross_entropy(logits, labels, ignore_index=255, reduction='none')[labels != 255]
    expected = ((1 - torch.exp(-losses)) ** 2 * losses).mean()
    assert FocalLoss()(logits, labels).item() == pytest.approx(expected.item())


def test_hard_pixels_are_those_below_the_threshold_and_at_least_a_share():
    logits, labels = sample()
    losses = torch.nn.functional.cross_entropy(logits, labels, ignore_index=255, reduction='none')[labels != 255]
    hard = losses[torch.exp(-losses) < 0.7]
    assert HardPixelLoss()(logits, labels).item() == pytest.approx(hard.mean().item())
    hardest = losses.sort(descending=True).values[: len(losses) // 2]
    assert HardPixelLoss(threshold=0.0, least=0.5)(logits, labels).item() == pytest.approx(hardest.mean().item())


@pytest.mark.parametrize('loss', LOSSES, ids=lambda loss: type(loss).__name__)
def test_ignored_pixels_change_nothing_and_right_answers_cost_nothing(loss):
    logits, labels = sample()
    other = logits.clone()
    other[0, :, 0] = 9
    assert loss(logits, labels).item() == loss(other, labels).item()
    right = 50 * torch.nn.functional.one_hot(labels.clamp(max=2), 3).movedim(-1, 1).double()
    assert loss(right, labels).item() == pytest.approx(0, abs=1e-6)
    nothing = loss(logits.requires_grad_(), torch.full_like(labels, 255))
    nothing.backward()
    assert nothing.item() == 0


@pytest.mark.parametrize('loss', [*LOSSES, SmoothCrossEntropy()], ids=lambda loss: type(loss).__name__)
def test_weights_count_pixels_as_often_as_they_say(loss):
    """Weight 2 is a pixel that stands there twice, weight 0 one that is ignored."""
    logits, labels = sample()
    labels[labels == 255] = 0
    weight = torch.ones(labels.shape)
    weight[1, :3], weight[1, 3] = 0, 2
    as_ignored = labels.clone()
    as_ignored[1, :3] = 255
    twice = torch.cat([logits, logits[:, :, 3:4]], 2), torch.cat([as_ignored, as_ignored[:, 3:4]], 1)
    twice[1][0, 6] = 255
    if isinstance(loss, HardPixelLoss):
        loss = HardPixelLoss(threshold=1.0)  # all pixels
    assert loss(logits, labels, weight=weight).item() == pytest.approx(loss(*twice).item())
    assert loss(logits, labels, weight=torch.ones(labels.shape)).item() == loss(logits, labels).item()
    assert loss(logits, labels, weight=torch.zeros(labels.shape)).item() == 0


def test_hard_pixels_are_sought_among_those_that_a_sampler_takes():
    logits, labels = sample()
    weight = (torch.arange(30).reshape(6, 5) % 3 == 0).double().expand(2, 6, 5)
    outside = labels.masked_fill(weight == 0, 255)
    loss = HardPixelLoss(threshold=0.3)
    assert loss(logits, labels, weight=weight).item() == loss(logits, outside).item() != loss(logits, labels).item()


def test_the_pixel_sampler_of_a_head_reaches_the_loss_and_needs_a_threshold(tmp_path):
    sampler = "sampler=dict(type='mmseg.OHEMPixelSampler', min_kept=2"
    losses = []
    for thresh in ('', ', thresh=0.4', ', thresh=0.99'):
        line = f"model = dict(decode_head=dict(loss_decode='${{pixel_loss}}', {sampler}{thresh})))"
        torch.manual_seed(0)
        head = head_of(tmp_path, 'heads/upernet', ['losses/focal'], line, 3)
        torch.manual_seed(0)
        logits, labels = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 1, 8, 8))
        samples = [type('Sample', (), {'gt_sem_seg': type('Map', (), {'data': one})}) for one in labels]
        if thresh:
            losses.append(head.loss_by_feat(logits, samples)['loss_focal'].item())
        else:
            with pytest.raises(ValueError, match='threshold'):
                head.loss_by_feat(logits, samples)
    assert losses[0] > 1.1 * losses[1]  # of the hard pixels alone


@pytest.mark.parametrize('loss', LOSSES, ids=lambda loss: type(loss).__name__)
def test_one_logit_stands_for_class_1(loss):
    _, labels = sample(classes=1)
    right = torch.where(labels == 1, 50.0, -50.0).unsqueeze(1)
    assert loss(right, labels).item() == pytest.approx(0, abs=1e-6)
    assert loss(-right, labels).item() > 0.5


def head_of(tmp_path, head, losses, line, classes):
    bases = [f'denseformer::_base_/{base}.py' for base in (head, 'backbones/dinat_nano', *losses)]
    (tmp_path / 'config.py').write_text(f'_base_ = {bases}\nnum_classes, crop_size = {classes}, (32, 32)\n{line}\n')
    config = load_config(tmp_path / 'config.py').model.decode_head
    config.update(type='mmseg.FCNHead', in_channels=4, in_index=0, channels=4, num_convs=1)
    config.pop('pool_scales', None)
    return MODELS.build(config)


@pytest.mark.parametrize('name', sorted(path.stem for path in (config_folder() / '_base_/losses').glob('*.py')))
def test_heads_train_with_each_base(name, tmp_path):
    line = "model = dict(decode_head=dict(loss_decode='${pixel_loss}'))"
    head = head_of(tmp_path, 'heads/upernet', [f'losses/{name}'], line, 3)
    check_training(head, classes=3)


def test_the_recipe_of_one_class_has_one_logit(tmp_path):
    head = head_of(tmp_path, 'heads/parts/upernet_one_logit', [], '', 2)
    assert (head.conv_seg.out_channels, head.threshold) == (1, 0.5)
    check_training(head, classes=2)


def check_training(head, classes):
    """Twenty steps on one pattern lower the loss."""
    torch.manual_seed(0)
    maps = torch.randn(2, 4, 8, 8)
    labels = (maps[:, :1].sigmoid() * classes).long().clamp(max=classes - 1)
    labels[0, 0, 0] = 255
    optimizer = torch.optim.Adam(head.parameters(), 0.02)
    totals = []
    for _ in range(20):
        losses = head.loss_by_feat(
            head([maps]), [type('Sample', (), {'gt_sem_seg': type('Map', (), {'data': one})}) for one in labels]
        )
        total = sum(value for name, value in losses.items() if name.startswith('loss'))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.9 * totals[0]
