"""The table of systems: a recipe of each, and a row that takes its place."""

import pytest

from denseformer.fitting.systems import SYSTEMS
from tools.docs.systems_table import HEAD, main, recipe_of, with_row


def test_a_row_takes_its_place_in_the_page():
    page = ['text', HEAD, '|---|', '| `kmax` | segmentation | old | old |', '| `kmax` | panoptic | old | old |', 'more']
    page = with_row(page, '| `kmax` | panoptic | yes | no |')
    assert page[3:] == ['| `kmax` | segmentation | old | old |', '| `kmax` | panoptic | yes | no |', 'more']
    assert with_row(page, '| `eomt` | segmentation | yes | no |')[4].startswith('| `eomt`')


def test_the_recipe_is_that_of_fit_on_the_sample_set(tmp_path):
    name, task = next(key for key in SYSTEMS if key[1] == 'instances')
    config = recipe_of(name, task, tmp_path)
    assert config.train_dataloader.dataset.type == 'denseformer.SampleInstances'
    assert config.image_scale == (160, 160)


def test_an_unknown_system_is_named():
    with pytest.raises(SystemExit, match='no system segfromer to measure'):
        main('page.md', 'segfromer')
