"""Learning rates and weight decay per parameter follow from what a backbone says of itself."""

import pytest
import torch
from torch import nn

from denseformer.backbones import DiNAT, ViT
from denseformer.engine import LayerDecayOptimWrapperConstructor, TwoStageWarmupLR

ARCH = dict(width=16, depths=(1, 1, 2, 1), heads=(1, 2, 4, 8), mlp_ratio=2)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = DiNAT(arch=ARCH, dilations='none')
        self.head = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        self.head_norm = nn.LayerNorm(4)


def settings(paramwise: dict | None = None) -> dict[str, dict]:
    model = Model()
    config = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1))
    optimizer = LayerDecayOptimWrapperConstructor(config, paramwise)(model).optimizer
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[p]: group for group in optimizer.param_groups for p in group['params']}


def test_every_parameter_is_trained_once():
    assert set(settings()) == {name for name, _ in Model().named_parameters()}


def test_norms_and_position_biases_take_no_decay():
    groups = settings()
    assert groups['backbone.stages.0.blocks.0.attn.rpb']['weight_decay'] == 0
    assert groups['backbone.stages.0.blocks.0.norm1.weight']['weight_decay'] == 0
    assert groups['head_norm.weight']['weight_decay'] == 0
    assert groups['backbone.stages.0.blocks.0.attn.qkv.bias']['weight_decay'] == 0.1
    assert groups['head.0.weight']['weight_decay'] == 0.1


def test_layer_decay_lowers_the_rate_with_depth():
    groups = settings(dict(layer_decay=0.5))
    rates = {name: group['lr'] for name, group in groups.items()}
    assert rates['head.0.weight'] == rates['backbone.out_norms.3.weight'] == 1
    assert rates['backbone.stages.3.blocks.0.attn.qkv.weight'] == 0.5
    assert rates['backbone.stages.2.blocks.0.attn.qkv.weight'] == 0.5**3
    assert rates['backbone.patch_embed.norm.weight'] == 0.5**6


def test_the_backbone_can_learn_slower_as_a_whole():
    rates = {name: group['lr'] for name, group in settings(dict(backbone_lr_mult=0.1)).items()}
    assert rates['backbone.patch_embed.norm.weight'] == pytest.approx(0.1)
    assert rates['head.0.weight'] == 1


def test_decay_by_stage_gives_each_stage_one_rate_and_downsampling_the_stems():
    rates = {name: group['lr'] for name, group in settings(dict(layer_decay=0.9, decay_by='stage', layers=12)).items()}
    assert rates['backbone.stages.3.blocks.0.attn.qkv.weight'] == pytest.approx(0.9**9)
    assert rates['backbone.stages.2.blocks.1.attn.qkv.weight'] == pytest.approx(0.9**10)
    assert rates['backbone.stages.3.downsample.norm.weight'] == rates['backbone.patch_embed.norm.weight']
    assert rates['backbone.patch_embed.norm.weight'] == pytest.approx(0.9**13)
    assert rates['backbone.out_norms.3.weight'] == rates['head.0.weight'] == 1


def test_decay_by_group_makes_layers_of_some_blocks_of_the_third_stage():
    paramwise = dict(layer_decay=0.5, decay_by='group', layers=6, blocks_per_layer=1)
    rates = {name: group['lr'] for name, group in settings(paramwise).items()}
    assert rates['backbone.stages.3.blocks.0.attn.qkv.weight'] == 0.5
    assert rates['backbone.stages.2.blocks.1.attn.qkv.weight'] == 0.5**3
    assert rates['backbone.stages.2.downsample.norm.weight'] == 0.5**4
    assert rates['backbone.stages.0.blocks.0.attn.qkv.weight'] == 0.5**6


def test_decay_by_stage_needs_the_number_of_layers():
    with pytest.raises(ValueError, match='layers=N'):
        settings(dict(layer_decay=0.9, decay_by='stage'))


def test_parameters_of_one_axis_can_be_exempt_from_weight_decay():
    groups = settings(dict(vector_decay=False))
    assert groups['backbone.stages.0.blocks.0.attn.qkv.bias']['weight_decay'] == 0
    assert groups['head.0.bias']['weight_decay'] == 0
    assert groups['head.0.weight']['weight_decay'] == 0.1


def test_all_but_parameters_of_one_axis_can_decay_whatever_a_backbone_exempts():
    groups = settings(dict(vector_decay=False, decay_everything=True))
    assert groups['backbone.stages.0.blocks.0.attn.rpb']['weight_decay'] == 0.1
    assert groups['backbone.stages.0.blocks.0.norm1.weight']['weight_decay'] == 0
    assert groups['head_norm.weight']['weight_decay'] == 0


def test_a_recipe_can_name_what_of_the_backbone_takes_no_decay():
    groups = settings(dict(backbone_no_decay=('rpb',)))
    assert groups['backbone.stages.0.blocks.0.attn.rpb']['weight_decay'] == 0
    assert groups['backbone.stages.0.blocks.0.norm1.weight']['weight_decay'] == 0.1
    assert groups['head_norm.weight']['weight_decay'] == 0


def test_parts_of_the_head_can_have_the_rate_of_the_stem():
    groups = settings(dict(layer_decay=0.5, head_stem_rate=('head.0', 'qkv')))
    assert groups['head.0.weight']['lr'] == groups['backbone.patch_embed.norm.weight']['lr'] == 0.5**6
    assert groups['head.1.weight']['lr'] == 1
    assert groups['backbone.stages.3.blocks.0.attn.qkv.weight']['lr'] == 0.5


def test_frozen_parameters_are_left_out():
    model = Model()
    model.backbone.requires_grad_(False)
    config = dict(optimizer=dict(type='SGD', lr=1.0))
    optimizer = LayerDecayOptimWrapperConstructor(config)(model).optimizer
    assert sum(len(group['params']) for group in optimizer.param_groups) == 6


def test_options_of_another_constructor_are_refused():
    with pytest.raises(ValueError, match='custom_keys'):
        LayerDecayOptimWrapperConstructor(dict(optimizer=dict(type='SGD', lr=1.0)), dict(custom_keys={}))


def test_a_step_changes_the_weights():
    model = Model()
    wrapper = LayerDecayOptimWrapperConstructor(dict(optimizer=dict(type='SGD', lr=0.1)))(model)
    before = model.head[0].weight.clone()
    wrapper.update_params(model.head(torch.ones(2, 4)).sum())
    assert not torch.equal(before, model.head[0].weight)


def test_rates_of_eomt_fall_from_the_last_block_which_has_the_heads():
    backbone = ViT(arch=dict(width=8, blocks=4, heads=2), image_size=32, norm_outputs=True)
    model = nn.ModuleDict({'backbone': backbone, 'head': nn.Linear(8, 2)})
    paramwise = dict(layer_decay=0.5, decay_from='last_block', decay_everything=True, separate_backbone=True)

    def groups(**more) -> dict[str, dict]:
        config = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1))
        optimizer = LayerDecayOptimWrapperConstructor(config, {**paramwise, **more})(model).optimizer
        names = {parameter: name for name, parameter in model.named_parameters()}
        return {names[p]: group for group in optimizer.param_groups for p in group['params']}

    found = groups()
    rates = [found[f'backbone.blocks.{i}.attn.qkv.weight']['lr'] for i in range(4)]
    assert rates == [0.125, 0.25, 0.5, 1]
    assert found['backbone.patch_embed.cls_token']['lr'] == 0.125
    assert found['backbone.norm.weight']['lr'] == 1
    assert all(group['weight_decay'] == 0.1 for group in found.values())
    assert found['backbone.norm.weight']['backbone']
    assert 'backbone' not in found['head.weight']
    found = groups(full_rate_blocks=2)
    assert [found[f'backbone.blocks.{i}.attn.qkv.weight']['lr'] for i in range(4)] == [0.125, 0.25, 1, 1]
    with pytest.raises(ValueError, match="want decay_by='block'"):
        groups(decay_by='stage', layers=12)


def test_new_parts_warm_up_before_the_backbone_does():
    optimizer = torch.optim.SGD(
        [
            {'params': [nn.Parameter(torch.zeros(1))], 'lr': 1.0, 'backbone': True},
            {'params': [nn.Parameter(torch.zeros(1))], 'lr': 2.0},
        ]
    )
    schedule = TwoStageWarmupLR(optimizer, warmup=4, backbone_warmup=2, end=16, by_epoch=False)
    rates = []
    for _ in range(16):
        rates.append([group['lr'] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    backbone, new = zip(*rates, strict=True)
    assert new[:5] == pytest.approx((0, 0.5, 1, 1.5, 2))
    assert new[10] == pytest.approx(2 * 0.5**0.9)
    assert backbone[:7] == pytest.approx((0, 0, 0, 0, 0, 0.5, 1))
    assert backbone[11] == pytest.approx(0.5**0.9)
    assert 0 < new[15] < new[14]
