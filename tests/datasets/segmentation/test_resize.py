"""Test images are resized to fit, and stretched up to multiples where a recipe's authors do so."""

import numpy as np
import pytest

from denseformer.datasets import ResizeImage


@pytest.mark.parametrize(
    ('size', 'multiple', 'expected'),
    [((300, 400), 1, (512, 683)), ((300, 400), 32, (512, 704)), ((256, 256), 32, (512, 512))],
)
def test_sides_fit_the_scale_and_end_at_the_next_multiple(size, multiple, expected):
    results = ResizeImage(scale=(2048, 512), multiple=multiple)({'img': np.zeros((*size, 3), np.uint8)})
    assert results['img'].shape[:2] == results['img_shape'] == expected
