"""Sampling by class."""

from collections import Counter

import pytest

from denseformer.detection.sampling import RepeatFactorSampler, repeat_factors


class Dataset(list):
    def get_cat_ids(self, index):
        return self[index]


IMAGES = Dataset([[0]] * 90 + [[0, 1]] * 9 + [[2]])


def test_an_image_has_the_factor_of_its_rarest_class():
    factors = repeat_factors([{*row} for row in IMAGES], 0.16)
    assert factors[0] == 1
    assert factors[90] == pytest.approx((0.16 / 0.09) ** 0.5)
    assert factors[99] == pytest.approx(4)
    assert repeat_factors([set(), {0}], 0.1) == [1, 1]


def test_epochs_draw_by_the_factors_and_repeat_themselves():
    sampler = RepeatFactorSampler(IMAGES, threshold=0.16, seed=0)
    assert len(sampler) == pytest.approx(90 + 9 * 4 / 3 + 4, abs=1)
    drawn = Counter()
    for epoch in range(50):
        sampler.set_epoch(epoch)
        drawn.update(sampler)
    assert drawn[99] / 50 == pytest.approx(4, rel=0.1)
    assert sum(drawn[i] for i in range(90, 99)) / 450 == pytest.approx(4 / 3, rel=0.1)
    assert [*sampler] == [*sampler]


def test_a_threshold_that_is_no_share_is_refused():
    with pytest.raises(ValueError, match='threshold=0'):
        RepeatFactorSampler(IMAGES, threshold=0, seed=0)
