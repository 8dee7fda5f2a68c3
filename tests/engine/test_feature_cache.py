"""The maps of a frozen backbone are computed once for each view of an image, and change nothing."""

from types import SimpleNamespace

import pytest
import tiny
import torch
from mmengine.registry import MODELS
from torch import nn

from denseformer.backbones import DINOv2, DINOv3Adapter, ViT, ViTAdapter
from denseformer.config.errors import ConfigError
from denseformer.engine import feature_cache
from denseformer.engine.feature_cache import FeatureCache, fingerprint, frozen_backbone, require_frozen
from denseformer.engine.launch import set_feature_cache
from denseformer.engine.reproducibility import SampleIndex, SeededDataset
from denseformer.options import TrainOptions

ARCH = dict(width=16, blocks=2, heads=2)


@MODELS.register_module(force=True)
class TinyFrozenModel(tiny.TinyModel):
    """The tiny model, whose first layer is its backbone."""

    def __init__(self):
        super().__init__(norm=False)
        self.backbone = nn.Linear(tiny.LENGTH, tiny.LENGTH).requires_grad_(False)
        nn.init.constant_(self.backbone.weight, 0.1)
        nn.init.zeros_(self.backbone.bias)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return super().forward(self.backbone(inputs), data_samples, mode)


def run(folder, cache, views: int, iters: int = 12):
    cfg = tiny.config(folder, iters=iters, interval=iters, ema=False)
    cfg.model = dict(type='TinyFrozenModel')
    set_feature_cache(cfg, TrainOptions(cache_features=str(cache), cached_views=views))
    return tiny.train(cfg)


@pytest.fixture
def counted(monkeypatch):
    """[read, computed] images, as the hook counts them; the backbone of the tiny model takes no image to probe it."""
    monkeypatch.setattr(feature_cache, 'require_frozen', lambda *parts: None)
    counts = []
    remove = FeatureCache.remove

    def record(self):
        counts[:] = [self.read, self.written]
        remove(self)

    monkeypatch.setattr(FeatureCache, 'remove', record)
    return counts


def test_cached_maps_give_the_losses_of_computed_ones(tmp_path, counted, monkeypatch):
    _, first = run(tmp_path / 'a', tmp_path / 'cache', views=2)
    assert counted == [12, 24]  # 12 images, 36 samples: the third pass has the first one's views
    _, second = run(tmp_path / 'b', tmp_path / 'cache', views=2)
    assert counted == [36, 0]
    monkeypatch.setattr(FeatureCache, '__call__', lambda self, image: self.compute(image))
    _, computed = run(tmp_path / 'c', tmp_path / 'cache', views=2)
    assert first == pytest.approx(computed, abs=1e-6)
    assert second == pytest.approx(computed, abs=1e-6)


def test_a_pass_over_the_set_takes_the_next_view_of_each_image():
    dataset = SeededDataset(dict(type='TinyDataset', length=3), seed=5, views=2)
    other = SeededDataset(dict(type='TinyDataset', length=3), seed=6, views=2)

    def sample(place: int, dataset=dataset):
        return dataset[SampleIndex(1, (0, place))]['inputs']

    assert torch.equal(sample(0), sample(2))
    assert torch.equal(sample(1), sample(7))
    assert torch.equal(sample(0), sample(0, other))
    assert not torch.equal(sample(1), sample(4))


@pytest.mark.parametrize('tokens', [False, True])
def test_maps_and_tokens_come_back_for_images_that_were_seen_and_for_others(tmp_path, tokens):
    backbone = DINOv2(arch=ARCH, image_size=56, out_indices=(0, 1), output_tokens=tokens, finetune='head')
    image = torch.randn(3, 3, 28, 42)
    expected = feature_cache.flat(backbone(image))
    cache = FeatureCache(backbone, tmp_path, backbone.settings)
    backbone(image[:2])
    found = feature_cache.flat(backbone(image.flip(0)))
    assert (cache.read, cache.written) == (2, 3)
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one, other.flip(0))
    assert type(backbone(image)[0]) is (tuple if tokens else torch.Tensor)
    with torch.autocast('cpu', torch.bfloat16):
        backbone(image)
    assert cache.written == 6
    cache.remove()
    backbone(image)
    assert cache.read == 5


def test_other_weights_and_settings_have_another_folder():
    backbone = ViT(arch=ARCH, image_size=32)
    name = fingerprint(backbone, backbone.settings)
    assert name == fingerprint(backbone, {**backbone.settings, 'finetune': 'head', 'frozen_stages': 2})
    assert name != fingerprint(backbone, {**backbone.settings, 'norm_outputs': True})
    with torch.no_grad():
        backbone.blocks[1].mlp.fc1.bias[0] += 1
    assert name != fingerprint(backbone, backbone.settings)


def test_what_learns_or_is_drawn_is_refused():
    with pytest.raises(ConfigError, match=r'parameters of the backbone learn .*--finetune head'):
        require_frozen(ViT(arch=ARCH, image_size=32, frozen_stages=1))
    require_frozen(ViT(arch=ARCH, image_size=32, frozen_stages=2, norm_outputs=True, drop_path_rate=0.5))
    require_frozen(ViT(arch=ARCH, image_size=32, finetune='head', drop_path_rate=0.5))
    drawn = ViT(arch=ARCH, image_size=32, drop_path_rate=0.5).requires_grad_(False)
    with pytest.raises(ConfigError, match=r'blocks\.1\.drop_path has other maps'):
        require_frozen(drawn)
    nested = ViT(arch=ARCH, image_size=32, mlp_factors=8).requires_grad_(False)
    torch.manual_seed(0)
    with pytest.raises(ConfigError, match='ViT has other maps'):
        require_frozen(nested)
    normed = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).requires_grad_(False)
    with pytest.raises(ConfigError, match='1 has other maps'):
        require_frozen(normed)
    assert normed[1].num_batches_tracked == 0


def test_an_adapter_that_writes_nothing_into_its_frozen_transformer_has_that_ones_maps_kept(tmp_path):
    model = nn.Module()
    arch = dict(width=16, blocks=4, heads=2)
    encoder = dict(type='denseformer.DINOv3', arch=dict(arch, image_size=32))
    adapter = DINOv3Adapter(
        arch=dict(encoder=encoder, deform_heads=2, hidden_convs=4), drop_path_rate=0.0, finetune='head'
    )
    model.backbone = adapter.train()
    part = frozen_backbone(model)
    assert part is adapter.encoder
    assert adapter.spm.training
    assert not part.training
    image = torch.randn(2, 3, 40, 64)
    expected = adapter(image)
    cache = FeatureCache(part, tmp_path, adapter.settings)
    for _ in range(2):
        maps = adapter(image)
    assert (cache.read, cache.written) == (2, 2)
    for one, other in zip(maps, expected, strict=True):
        torch.testing.assert_close(one, other)
    sum(m.square().mean() for m in maps).backward()
    assert adapter.spm.fc1.weight.grad is not None
    arch |= dict(deform_heads=2, hidden_convs=4)
    model.backbone = ViTAdapter(arch=arch, finetune='head')
    with pytest.raises(ConfigError, match='DINOv3Adapter'):
        frozen_backbone(model)


@pytest.fixture
def warned(monkeypatch) -> list[str]:
    """The warnings of the cache."""
    messages: list[str] = []
    logger = SimpleNamespace(warning=messages.append)
    monkeypatch.setattr(feature_cache.MMLogger, 'get_current_instance', lambda: logger)
    return messages


def test_a_disk_that_is_full_ends_the_run_with_a_remedy(tmp_path):
    backbone = ViT(arch=ARCH, image_size=32, finetune='head')
    FeatureCache(backbone, tmp_path, {})
    path = backbone.forward.folder
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('a file where a folder should be')
    with pytest.raises(ConfigError, match='--cached-views'):
        backbone(torch.randn(1, 3, 32, 32))


def test_files_that_a_crash_left_damaged_are_computed_again(tmp_path, warned):
    backbone = ViT(arch=ARCH, image_size=32, finetune='head')
    image = torch.randn(3, 3, 32, 32)
    expected = backbone(image)
    cache = FeatureCache(backbone, tmp_path, {})
    backbone(image)
    paths = [cache.path_of(x) for x in image]
    paths[0].write_bytes(b'')
    paths[1].write_bytes(paths[1].read_bytes()[:200])
    for one, other in zip(backbone(image), expected, strict=True):
        torch.testing.assert_close(one, other)
    assert (cache.read, cache.written) == (1, 5)
    assert len(warned) == 2
    assert all('is damaged' in message for message in warned)
    backbone(image)
    assert cache.read == 4


def test_a_device_without_memory_ends_the_run_and_leaves_whole_files_alone(tmp_path, monkeypatch, warned):
    cache = FeatureCache(ViT(arch=ARCH, image_size=32, finetune='head'), tmp_path, {})
    path = cache.path_of(torch.randn(3, 32, 32))
    cache.save((torch.ones(2, 4, 4),), path)

    def full(maps, device):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(feature_cache, 'moved', full)
    with pytest.raises(torch.OutOfMemoryError):
        cache.load(path, torch.device('cpu'))
    assert not warned


def test_other_versions_of_the_package_keep_maps_of_their_own(monkeypatch):
    backbone = ViT(arch=ARCH, image_size=32)
    name = fingerprint(backbone, backbone.settings)
    monkeypatch.setattr(feature_cache, '__version__', '9.9')
    assert name != fingerprint(backbone, backbone.settings)


def test_queries_inside_a_frozen_transformer_are_refused():
    from denseformer.detection.eomt import EoMT

    model = nn.Module()
    frozen = dict(type='denseformer.ViT', arch=ARCH, image_size=32, finetune='head')
    model.backbone = EoMT(backbone=frozen, num_classes=3, num_queries=2, query_blocks=1)
    with pytest.raises(ConfigError, match='the queries of EoMT learn and pass through'):
        frozen_backbone(model)


def test_settings_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ConfigError, match='--compile'):
        set_feature_cache(tiny.config(tmp_path), TrainOptions(cache_features='cache', compile=True))
    with pytest.raises(ValueError, match='--cache-features FOLDER'):
        TrainOptions(cached_views=2)
    cfg = tiny.config(tmp_path, iters=1, ema=False)
    set_feature_cache(cfg, TrainOptions(cache_features=str(tmp_path / 'cache')))
    with pytest.raises(ConfigError, match='no backbone'):
        tiny.train(cfg)
