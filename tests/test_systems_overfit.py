"""Every published system fits images of the sample set as well as its own metric can tell."""

import os

import pytest

from tools.docs.systems import SYSTEMS, System, overfit

IMAGES = 4
STEPS = {
    'BEVANet': 100,
    'HBFormer': 80,
    'RCNet': 50,
    'SDANet': 50,
    'SDANet, of two stages': 25,
    'kMaX-DeepLab, label maps': 100,
    'kMaX-DeepLab': 140,
    'RT-DETR': 90,
    'FashionFormer': 75,
    'Isomer': 50,
}
"""Steps that do where the documentation shows what more of them, on twice the images, come to."""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('systems')


def small(name: str) -> System:
    """A system with four of the images."""
    system = SYSTEMS[name]
    options = {**system.options, 'val_dataloader.dataset.indices': IMAGES}
    return system._replace(options=options, steps=STEPS.get(name, system.steps))


@pytest.mark.no_cover
@pytest.mark.parametrize('name', SYSTEMS)
def test_overfits_four_images_to_near_perfect_scores(name, folder):
    if SYSTEMS[name].slow and not os.environ.get('DENSEFORMER_SLOW'):
        pytest.skip('it takes a minute: DENSEFORMER_SLOW=1')
    assert overfit(small(name), folder)[1] > SYSTEMS[name].task.wanted
