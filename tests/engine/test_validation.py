"""Batches of images of several sizes, and label maps at the network's size."""

import torch

from denseformer.engine.validation import fitted_label_map, same_size_parts


def test_a_batch_is_parted_by_sizes_and_keeps_its_places():
    images = [torch.zeros(3, *size) for size in ((4, 4), (4, 6), (4, 4))]
    parts = list(same_size_parts({'inputs': images, 'extra': ['a', 'b', 'c']}))
    assert [members for members, _ in parts] == [[0, 2], [1]]
    assert [part['extra'] for _, part in parts] == [['a', 'c'], ['b']]


def test_label_maps_follow_the_image_and_its_padding():
    labels = torch.tensor([[[1, 2], [3, 4]]], dtype=torch.uint8)
    fitted = fitted_label_map(labels, (4, 4), (4, 6), 255)
    assert fitted.tolist() == [[[1, 1, 2, 2, 255, 255]] * 2 + [[3, 3, 4, 4, 255, 255]] * 2]
