"""Run lengths that do not fill their mask are found before a decoder takes them."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from denseformer.detection.rle import rle_area, run_lengths, runs_fault


def masks() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    drawn = [rng.random(rng.integers(1, 60, 2)) < share for share in rng.random(20)]
    blocks = [np.kron(mask, np.ones((40, 30), bool)) for mask in drawn[:3]]  # runs that take several characters
    return [*drawn, *blocks, np.zeros((5, 4), bool), np.ones((5, 4), bool)]


def runs_of(mask: np.ndarray) -> list[int]:
    flat = np.concatenate([[0], mask.T.ravel().astype(int)])
    ends = np.flatnonzero(np.diff(flat))
    return np.diff([0, *ends, mask.size]).tolist()


@pytest.mark.parametrize('mask', masks(), ids=lambda mask: 'x'.join(map(str, mask.shape)))
def test_compressed_runs_are_those_of_the_mask(mask):
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert run_lengths(rle['counts']).tolist() == run_lengths(rle['counts'].decode()).tolist() == runs_of(mask)
    assert rle_area(rle) == mask.sum()
    assert runs_fault(rle) == runs_fault({'size': mask.shape, 'counts': runs_of(mask)}) == ''


def compressed(counts: list[int], size: list[int]) -> dict:
    return coco_mask.frPyObjects({'size': size, 'counts': counts}, *size)


@pytest.mark.parametrize(
    ('rle', 'words'),
    [
        ({'size': [4, 5], 'counts': [3, 4]}, 'runs of 7 pixels in all for a mask of 4 x 5 = 20'),
        ({'size': [4, 5], 'counts': [3, 40]}, 'runs of 43 pixels'),
        ({'size': [4, 5], 'counts': []}, 'runs of 0 pixels'),
        ({'size': [4, 5], 'counts': [30, -10]}, 'negative'),
        ({'size': [4, 5], 'counts': ['a']}, 'no legal RLE'),
        ({'size': [4], 'counts': [20]}, 'no legal RLE'),
        ({'counts': [20]}, 'no legal RLE'),
        (compressed([3, 4], [4, 5]), 'runs of 7 pixels'),
        ({'size': [4, 5], 'counts': 'o'}, 'compressed text is broken'),
        ({'size': [4, 5], 'counts': ' '}, 'compressed text is broken'),
        ({'size': [4, 5], 'counts': 'o' * 40 + '0'}, 'compressed text is broken'),
    ],
)
def test_what_does_not_fill_its_mask_is_said(rle, words):
    assert words in runs_fault(rle)
