"""The rules of `fit`."""

import dataclasses

import pytest

from denseformer.config.loading import load_config
from denseformer.fitting.fitting import config_text, facts_of
from denseformer.fitting.rules import TABLE, Facts, choose
from denseformer.folders import understand, write_dataset
from tests.support import formats

SETS = {
    'segmentation': formats.index_masks,
    'detection': formats.yolo,
    'instances': formats.labelme,
    'panoptic': formats.coco_panoptic,
    'restoration': formats.pairs,
    'super-resolution': formats.alone,
    'video': formats.videos,
}
PHOTOS = Facts('segmentation', train=400, val=100, long=480, short=360)


@pytest.mark.parametrize(('task', 'device'), TABLE)
def test_every_row_makes_a_config_that_loads(task, device, tmp_path):
    found, listing = understand(str(SETS[task](tmp_path / 'data')), task)
    write_dataset(found, listing, tmp_path)
    recipe = choose(Facts(task, 4, 2, 64, 64, classes=5, scale=found.scale, device=device, memory=24, cores=8))
    (tmp_path / 'config.py').write_text(config_text(recipe))
    config = load_config(tmp_path / 'config.py')
    assert config.train_dataloader.batch_size == recipe.keys['batch_size']
    length = config.train_cfg.get('max_iters') or config.train_cfg.get('max_epochs')
    assert length == recipe.keys.get('max_iters', recipe.keys.get('epochs'))
    assert config.optim_wrapper.optimizer.lr == recipe.keys['optim_wrapper']['optimizer']['lr']


def test_sizes_follow_from_the_images():
    def keys(**facts):
        return choose(dataclasses.replace(PHOTOS, **facts)).keys

    assert (keys()['image_scale'], keys()['crop_size']) == ((480, 360), (256, 256))
    assert keys(long=100, short=70)['crop_size'] == (64, 64)
    assert keys(long=4000, short=3000)['image_scale'] == (512, 384)
    assert keys(train=3)['batch_size'] == 3


def test_patches_fit_the_smallest_training_image_of_pairs(tmp_path):
    root = formats.pairs(tmp_path)
    for folder in ('input', 'target'):
        formats.write_image(root / folder / 'small.png', formats.scenes()[0].image[:20, :30])
    found, listing = understand(str(root))
    others = [dataclasses.replace(sample, split='train') for sample in found.samples if 'small' not in sample.image]
    (small,) = (sample for sample in found.samples if 'small' in sample.image)
    sizes = {}
    for split in ('train', 'val'):
        samples = (*others, dataclasses.replace(small, split=split))
        facts = facts_of(dataclasses.replace(found, samples=samples), listing, 'cpu', None)
        sizes[split] = facts.short, facts.smallest, choose(facts).keys['patch_size']
    assert sizes['train'] == (64, 20, 16)
    assert sizes['val'][:2] == (64, 64)
    assert sizes['val'][2] > 16


def test_the_run_grows_with_the_images_between_bounds():
    lengths = [choose(dataclasses.replace(PHOTOS, train=count)).keys['max_iters'] for count in (10, 400, 100_000)]
    row = TABLE['segmentation', 'cpu']
    assert lengths == [row.least, row.passes * 400 // row.batch, row.most]


def test_small_objects_keep_images_larger():
    facts = Facts('detection', 100, 20, 1280, 960, object_side=30.0)
    assert choose(facts).keys['image_scale'] == (512, 384)
    assert choose(dataclasses.replace(facts, object_side=200.0)).keys['image_scale'] == (320, 240)


def test_a_small_gpu_takes_the_smallest_published_variant():
    arch = [choose(dataclasses.replace(PHOTOS, device='cuda', memory=m)).keys['backbone']['arch'] for m in (6, 24)]
    assert arch == ['mini', 'tiny']


def test_a_model_is_named_by_its_base_and_a_wrong_name_gets_the_nearest():
    recipe = choose(dataclasses.replace(PHOTOS, model='convnext'))
    assert recipe.bases[0] == 'backbones/convnext'
    with pytest.raises(ValueError, match=r"called 'swim'.* Did you mean 'swin'"):
        choose(dataclasses.replace(PHOTOS, model='swim'))


@pytest.mark.parametrize(('device', 'train', 'share'), [('cuda', 200, 0.5), ('cuda', 50_000, None), ('cpu', 200, None)])
def test_objects_are_pasted_in_long_runs_on_few_images(device, train, share):
    facts = Facts('instances', train, 50, 640, 480, device=device, memory=24, cores=8)
    assert choose(facts).keys.get('copy_paste') == share


@pytest.mark.parametrize(
    ('name', 'start', 'decay'),
    [
        ('convnext', 'imagenet1k', 0.9),
        ('swin', 'imagenet1k', None),
        ('mit', 'imagenet1k_mmseg', None),
        ('fcaformer', None, None),
    ],
)
def test_a_network_that_is_asked_for_starts_from_its_weights_with_its_authors_decay(name, start, decay):
    recipe = choose(dataclasses.replace(PHOTOS, device='cuda', memory=24, model=name))
    assert recipe.keys.get('backbone', {}).get('pretrained') == start
    assert recipe.keys['optim_wrapper'].get('paramwise_cfg', {}).get('layer_decay') == decay
    (rate,) = (choice for choice in recipe.choices if choice.topic == 'learning rate')
    assert ('published' in rate.reason) == (start is not None)
    assert 'backbone' not in choose(dataclasses.replace(PHOTOS, model=name)).keys
