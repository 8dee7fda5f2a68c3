"""Fine-tuning of a network's head and of low-rank updates, from frozen weights."""

import copy

import forks
import pytest
import tiny
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import nn

from denseformer.backbones import ConvNeXt, DiNAT, DINOv3, EfficientViT, UPLiFT, ViT
from denseformer.checkpoints import newest_checkpoint, read_checkpoint
from denseformer.checkpoints.recorded import without_training
from denseformer.engine.launch import set_finetuning, set_pretrained
from denseformer.lora import is_factor
from denseformer.options import TrainOptions
from denseformer.restoration.networks import CFSR

NETWORKS = [
    (DINOv3, {'arch': {'width': 16, 'blocks': 2, 'heads': 2}}),
    (
        DiNAT,
        {'arch': {'width': 8, 'depths': (1, 1, 1, 1), 'heads': (1, 1, 2, 2), 'mlp_ratio': 2}, 'dilations': ((1,),) * 4},
    ),
    (ConvNeXt, {'arch': {'width': 4, 'depths': (1, 1, 1, 1)}}),
    (CFSR, {'arch': {'dim': 16, 'groups': 1, 'blocks': 1, 'kernel_size': 7}, 'scale': 2}),
]
every_network = pytest.mark.parametrize(
    ('family', 'settings'), NETWORKS, ids=[family.__name__ for family, _ in NETWORKS]
)
IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def build(family, settings, **options):
    """A network whose layer scales, where it has them, let its blocks be seen."""
    network = family(**settings, **options)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if 'gamma' in name:
                parameter.fill_(0.5)
    return network


def outputs(network):
    with torch.no_grad():
        out = network.eval()(IMAGE)
    return out if isinstance(out, tuple) else (out,)


def train(network, steps=2):
    """Move all that learns until the outputs are others; returns the names of the parameters that had a gradient."""
    before = outputs(network)
    network.train()
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        out = network(IMAGE)
        sum(each.square().mean() for each in (out if isinstance(out, tuple) else (out,))).backward()
        optimizer.step()
    assert any((a - b).abs().max() > 1e-3 for a, b in zip(outputs(network), before, strict=True))
    return {name for name, parameter in network.named_parameters() if parameter.grad is not None}


def assert_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@every_network
def test_updates_start_at_the_frozen_outputs_and_alone_learn_with_the_head(family, settings):
    plain, network = build(family, settings), build(family, settings, finetune='lora', lora={'rank': 2})
    network.load_state_dict(plain.state_dict())
    for ours, theirs in zip(outputs(network), outputs(plain), strict=True):
        assert torch.equal(ours, theirs)
    frozen = {key: value.clone() for key, value in network.named_parameters() if not value.requires_grad}
    learned = train(network)
    heads = tuple(f'{name}.' for name in family.head_layers)
    assert any(name.endswith('.up') for name in learned)
    assert all('.parametrizations.weight.0.' in name or name.startswith(heads) for name in learned)
    assert all(torch.equal(dict(network.named_parameters())[key], value) for key, value in frozen.items())


@every_network
def test_trained_weights_load_under_plain_names_where_there_are_no_updates(family, settings):
    plain, network = build(family, settings), build(family, settings, finetune='lora')
    train(network)
    weights = network.state_dict()
    assert {key for key in weights if not is_factor(key)} == set(plain.state_dict())
    assert sum(map(is_factor, weights)) > 0
    plain.load_state_dict(weights)
    assert_same(outputs(plain), outputs(network))


@every_network
def test_a_saved_folder_holds_the_updated_weights_alone(family, settings, tmp_path):
    network = build(family, settings, finetune='lora', lora={'rank': 2, 'alpha': 1})
    train(network)
    folder = network.save_pretrained(tmp_path)
    again = build(family, settings, pretrained=str(folder))
    again.init_weights()
    assert_same(outputs(again), outputs(network))
    assert 'lora' not in (folder / 'config.py').read_text()
    assert 'finetune' not in (folder / 'config.py').read_text()


def test_loading_gives_back_factors_and_frozen_weights():
    family, settings = NETWORKS[0]
    network, again = (build(family, settings, finetune='lora') for _ in range(2))
    train(network)
    again.load_state_dict(network.state_dict())
    for (name, ours), theirs in zip(again.named_parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0, msg=name)


def test_a_file_without_factors_is_what_updates_start_from():
    family, settings = NETWORKS[0]
    plain, network = build(family, settings), build(family, settings, finetune='lora')
    train(network)
    network.load_state_dict(plain.state_dict())
    assert_same(outputs(network), outputs(plain))


def test_a_copy_of_a_network_with_updates_learns_by_itself():
    family, settings = NETWORKS[0]
    network = build(family, settings, finetune='lora')
    other = copy.deepcopy(network)
    before = outputs(network)
    train(other)
    assert_same(outputs(network), before)
    plain = build(family, settings)
    plain.load_state_dict(other.state_dict())
    assert_same(outputs(plain), outputs(other))


@every_network
def test_a_frozen_network_computes_no_gradient_but_its_heads_and_stays_in_evaluation_mode(family, settings):
    network = build(family, settings, finetune='head').train()
    heads = tuple(f'{name}.' for name in family.head_layers)
    assert all(parameter.requires_grad == name.startswith(heads) for name, parameter in network.named_parameters())
    assert all(module.training == f'{name}.'.startswith(heads) for name, module in network.named_modules() if name)
    assert any(parameter.requires_grad for parameter in network.parameters()) == bool(heads)


def test_updates_keep_the_statistics_of_batch_norm_and_are_made_for_convolutions():
    network = EfficientViT.on_meta_device(arch='m0', finetune='lora').train()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert network.training


def test_impossible_settings_are_refused_with_the_remedy():
    family, settings = NETWORKS[0]
    with pytest.raises(ValueError, match='one of all, head, lora'):
        build(family, settings, finetune='heads')
    with pytest.raises(ValueError, match="belongs to finetune='lora'"):
        build(family, settings, lora={'rank': 2})
    with pytest.raises(ValueError, match=r"belongs to finetune='lora'.*ranks"):
        build(family, settings, finetune='lora', lora={'ranks': 2})
    with pytest.raises(ValueError, match='rank must be at least 1'):
        build(family, settings, finetune='lora', lora={'rank': 0})
    with pytest.raises(ValueError, match='freeze=True'):
        UPLiFT.on_meta_device(finetune='lora')


def test_layers_that_are_not_there_are_named():
    class Nothing(DINOv3):
        lora_layers = 'nothing'

    with pytest.raises(ValueError, match="no name matches 'nothing'"):
        Nothing(arch=NETWORKS[0][1]['arch'], finetune='lora')


def test_the_flag_sets_the_backbone_or_the_network_and_predictors_build_neither():
    config = Config({'model': {'type': 'M', 'backbone': {'type': 'denseformer.DINOv3', 'lora': {'rank': 4}}}})
    set_finetuning(config, TrainOptions(finetune='lora'))
    assert config.model.backbone.to_dict() == {'type': 'denseformer.DINOv3', 'lora': {'rank': 4}, 'finetune': 'lora'}
    assert without_training(config.model.to_dict()) == {'type': 'M', 'backbone': {'type': 'denseformer.DINOv3'}}
    set_finetuning(config, TrainOptions(finetune='head'))
    assert config.model.backbone.to_dict() == {'type': 'denseformer.DINOv3', 'finetune': 'head'}


@pytest.mark.parametrize('kind', [{}, {'type': 'two_backbones'}])
def test_flags_set_the_backbone_inside_a_wrapper_without_a_type_or_one_that_a_function_makes(kind, monkeypatch):
    monkeypatch.setitem(MODELS.module_dict, 'two_backbones', lambda **_: None)
    inner = {'type': 'denseformer.DINOv3'}
    config = Config({'model': {'type': 'M', 'backbone': {**kind, 'backbone': inner}}})
    set_finetuning(config, TrainOptions(finetune='head'))
    assert config.model.backbone.backbone.to_dict() == {**inner, 'finetune': 'head'}


def test_flags_set_the_backbone_inside_one_that_adds_queries():
    inner = {'type': 'denseformer.DINOv3', 'pretrained': 'lvd1689m'}
    config = Config({'model': {'type': 'M', 'backbone': {'type': 'denseformer.EoMT', 'backbone': inner}}})
    set_finetuning(config, TrainOptions(finetune='lora'))
    set_pretrained(config, TrainOptions(pretrained='none'))
    expected = {'type': 'denseformer.DINOv3', 'pretrained': None, 'finetune': 'lora'}
    assert config.model.backbone.to_dict() == {'type': 'denseformer.EoMT', 'backbone': expected}
    assert 'finetune' not in without_training(config.model.to_dict())['backbone']['backbone']


@MODELS.register_module(force=True)
class TinyTuned(BaseModel):
    """A backbone with low-rank updates and a linear head."""

    def __init__(self):
        super().__init__()
        self.backbone = ViT(arch={'width': 16, 'blocks': 2, 'heads': 2}, patch_size=16, finetune='lora')
        self.head = nn.Linear(16, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        image = inputs[:, None, :, None].expand(-1, 3, -1, 8).repeat(1, 1, 4, 4)  # (B, 3, 32, 32)
        return {'loss': self.head(self.backbone(image)[-1].mean((2, 3))).square().mean()}


def test_a_resumed_run_goes_on_with_its_factors(tmp_path):
    def config(name):
        cfg = tiny.config(tmp_path / name, iters=6, interval=3)
        cfg.model = dict(type='TinyTuned')
        return cfg

    whole, losses = tiny.train(config('whole'))
    resumed, later = tiny.train(config('resumed'), resume=str(tmp_path / 'whole' / 'iter_3.pth'))
    assert later == pytest.approx({i: losses[i] for i in (4, 5, 6)}, rel=1e-4)
    for (name, ours), theirs in zip(resumed.model.named_parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3, msg=name)


def test_two_processes_learn_the_same_factors_as_one(tmp_path):
    def config(name, **settings):
        cfg = tiny.config(tmp_path / name, iters=3, **settings)
        cfg.model = dict(type='TinyTuned')
        return cfg

    tiny.train(config('one', batch=4))
    assert forks.in_processes(2, lambda _: tiny.train(config('two', batch=2, launcher='pytorch'))) == [0, 0]
    one, two = (read_checkpoint(newest_checkpoint(tmp_path / name)[0])['state_dict'] for name in ('one', 'two'))
    assert any(is_factor(key) for key in one)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-5, msg=name)


def test_merged_weights_are_exported_as_those_of_any_network():
    family, settings = NETWORKS[0]
    network, plain = build(family, settings, finetune='lora'), build(family, settings).eval()
    train(network)
    plain.load_state_dict(network.state_dict())
    exported = torch.export.export(plain, (IMAGE,))
    assert not any('lora' in name or 'parametrizations' in name for name in exported.state_dict)
    assert_same(exported.module()(IMAGE), outputs(network))
