"""Test images are resized to fit, and stretched up to multiples or filled up where a recipe's authors do so."""

import numpy as np
import pytest

from denseformer.datasets import PadImage, ResizeImage


@pytest.mark.parametrize(
    ('size', 'multiple', 'expected'),
    [((300, 400), 1, (512, 683)), ((300, 400), 32, (512, 704)), ((256, 256), 32, (512, 512))],
)
def test_sides_fit_the_scale_and_end_at_the_next_multiple(size, multiple, expected):
    results = ResizeImage(scale=(2048, 512), multiple=multiple)({'img': np.zeros((*size, 3), np.uint8)})
    assert results['img'].shape[:2] == results['img_shape'] == expected


def test_an_image_is_filled_up_on_the_right_and_below_and_its_shape_stays():
    results = PadImage(size=(40, 60))({'img': np.full((30, 50, 3), 7, np.uint8), 'img_shape': (30, 50)})
    assert results['img'].shape == (60, 50, 3)
    assert results['img_shape'] == (30, 50)
    assert (results['img'][:30] == 7).all()
    assert (results['img'][30:] == 0).all()
