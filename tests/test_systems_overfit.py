"""Every published system fits eight images of the sample set as well as its own metric can tell."""

import pytest

from tools.docs.systems import SYSTEMS, overfit


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('systems')


@pytest.mark.parametrize('name', SYSTEMS)
def test_overfits_eight_images_to_near_perfect_scores(name, folder):
    assert overfit(SYSTEMS[name], folder)[1] > SYSTEMS[name].task.wanted
