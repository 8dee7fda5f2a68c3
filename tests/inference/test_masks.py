"""The masks of a segmentation as files, and as they are drawn."""

from pathlib import PurePosixPath

import numpy as np
import pytest
from PIL import Image

from denseformer.images.drawing import spread_colors
from denseformer.inference.results import SegmentationResult


def result_of(count: int) -> SegmentationResult:
    """A result of `count` classes: the last one on the left, the first one on a smaller right."""
    mask = np.zeros((30, 200), np.uint8 if count <= 256 else np.uint16)
    mask[:, :120] = count - 1
    image = np.full((30, 200, 3), 90, np.uint8)
    return SegmentationResult(
        PurePosixPath('a.png'), image, mask, [f'c{i}' for i in range(count)], spread_colors(count)
    )


@pytest.mark.parametrize(('count', 'mode'), [(2, 'P'), (256, 'P'), (257, 'I;16')])
def test_a_mask_is_read_as_it_was_written(count, mode, tmp_path):
    result = result_of(count)
    result.save(tmp_path / 'mask.png')
    with Image.open(tmp_path / 'mask.png') as file:
        assert file.mode == mode
        assert np.array_equal(np.asarray(file), result.mask)
        if mode == 'P':
            assert tuple(file.convert('RGB').getpixel((0, 0))) == result.palette[count - 1]


def test_the_legend_names_the_classes_that_occur_the_largest_first():
    result = result_of(300)
    legend = np.asarray(result.plot())[30:]
    places = [np.argwhere((legend == result.palette[i]).all(2)) for i in (299, 0)]
    assert places[0][:, 1].max() < places[1][:, 1].min()
    assert not (legend == result.palette[150]).all(2).any()


def test_the_prediction_in_place_of_the_image_has_no_legend():
    result = result_of(3)
    assert np.array_equal(np.asarray(result.output_image()), np.asarray(result.plot())[:30])
    tint = 0.4 * 90 + 0.6 * np.array(result.palette[2])
    assert np.abs(np.asarray(result.output_image())[5, 5] - tint).max() <= 1
