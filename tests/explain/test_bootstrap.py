"""The interval of a difference holds the true one as often as it says."""

import numpy as np
import pytest

from denseformer.explain.bootstrap import Comparison, bootstrap_weights, changed_images, compare, interval
from denseformer.explain.scores import weighted_mean, weighted_miou


def test_the_interval_covers_the_truth_in_95_of_100_simulated_pairs():
    rng = np.random.default_rng(0)
    images, pairs, truth = 120, 2000, 0.4
    hardness = rng.gamma(2, 2, (images, pairs))  # of an image, for both models
    first = hardness + rng.normal(0, 0.5, (images, pairs))
    second = hardness + truth + rng.gamma(2, 0.5, (images, pairs)) - 1
    weights = bootstrap_weights(images, 1000) / images
    low, high = interval(weights @ (second - first))
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.95, abs=0.03)


def test_the_interval_of_a_ratio_of_sums_covers_too():
    rng = np.random.default_rng(1)
    images, classes, pairs = 120, 3, 400
    weights = bootstrap_weights(images, 500)

    def simulate(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        union = rng.gamma(2, 1, (count, classes))
        quality = rng.beta(6, 3, (count, classes))
        return union * quality, union * np.clip(quality + rng.normal(0.03, 0.05, quality.shape), 0, 1), union

    before, after, union = simulate(400_000)
    truth = 100 * (after.sum(0) / union.sum(0) - before.sum(0) / union.sum(0)).mean()
    inside = 0
    for _ in range(pairs):
        before, after, union = simulate(images)
        draws = weighted_miou(after, union, weights) - weighted_miou(before, union, weights)
        low, high = interval(draws)
        inside += low <= truth <= high
    assert inside / pairs == pytest.approx(0.95, abs=0.03)


def test_a_difference_is_said_with_its_interval_and_its_images():
    first = np.arange(50.0)
    second = first + np.where(np.arange(50) == 7, -3.0, 1.0)
    result = compare(lambda w: weighted_mean(first, w), lambda w: weighted_mean(second, w), 50)
    assert result.difference == pytest.approx(0.92)
    assert result.low < 0.92 < result.high
    assert result.better > 0.99
    assert result.sentence('PSNR').startswith('+0.92 PSNR, 95 % interval 0.')
    worse, better = changed_images(first, second, 0.5)
    assert worse.tolist() == [7]
    assert len(better) == 49
    assert 'do not tell the two apart' in Comparison(0.1, -0.2, 0.4, 0.7).sentence('mIoU')


def test_a_run_does_not_differ_from_itself():
    values = np.arange(10.0)
    result = compare(lambda w: weighted_mean(values, w), lambda w: weighted_mean(values, w), 10)
    assert (result.difference, result.low, result.high) == (0, 0, 0)
