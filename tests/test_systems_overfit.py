"""Every published system fits eight images of the sample set as well as its own metric can tell."""

import os

import pytest

from tools.docs.systems import SYSTEMS, overfit


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('systems')


@pytest.mark.no_cover
@pytest.mark.parametrize('name', SYSTEMS)
def test_overfits_eight_images_to_near_perfect_scores(name, folder):
    if SYSTEMS[name].slow and not os.environ.get('DENSEFORMER_SLOW'):
        pytest.skip('it takes a minute: DENSEFORMER_SLOW=1')
    assert overfit(SYSTEMS[name], folder)[1] > SYSTEMS[name].task.wanted
