"""SegFormer's head: what it computes, and the names that the authors and transformers give its layers."""

import pytest
import torch
import torch.nn.functional as F

from denseformer.segmentation import SegFormerHead

CHANNELS = 3, 4, 5, 6
LAYERS = {
    'levels.0.': ('linear_c1.proj.', 'linear_c.0.proj.'),
    'levels.1.': ('linear_c2.proj.', 'linear_c.1.proj.'),
    'levels.2.': ('linear_c3.proj.', 'linear_c.2.proj.'),
    'levels.3.': ('linear_c4.proj.', 'linear_c.3.proj.'),
    'fuse.conv.': ('linear_fuse.conv.', 'linear_fuse.'),
    'fuse.bn.': ('linear_fuse.bn.', 'batch_norm.'),
    'conv_seg.': ('linear_pred.', 'classifier.'),
}


def build() -> SegFormerHead:
    head = SegFormerHead(in_channels=CHANNELS, channels=8, num_classes=2).eval()
    for value in head.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.5, 1)
    return head


@torch.no_grad()
def test_maps_are_joined_from_the_coarsest_to_the_finest_with_one_norm():
    head = build()
    maps = [torch.randn(2, dim, side, side + 1) for dim, side in zip(CHANNELS, (9, 5, 3, 2), strict=True)]
    levels = [
        F.interpolate(F.conv2d(x, layer.weight[..., None, None], layer.bias), (9, 10), mode='bilinear')
        for x, layer in zip(maps, head.levels, strict=True)
    ]
    norm = head.fuse.bn
    joined = F.conv2d(torch.cat(levels[::-1], 1), head.fuse.conv.weight)
    joined = F.batch_norm(joined, norm.running_mean, norm.running_var, norm.weight, norm.bias).relu()
    torch.testing.assert_close(head(maps), F.conv2d(joined, head.conv_seg.weight, head.conv_seg.bias))


@pytest.mark.parametrize('source', [0, 1], ids=['authors', 'transformers'])
def test_published_weights_load(source):
    trained, head = build(), SegFormerHead(in_channels=CHANNELS, channels=8, num_classes=2)
    state = {}
    for key, value in trained.state_dict().items():
        ours, theirs = next((ours, theirs) for ours, theirs in LAYERS.items() if key.startswith(ours))
        state[theirs[source] + key.removeprefix(ours)] = value
    if source == 0:
        state |= {'conv_seg.weight': torch.zeros(2, 8, 1, 1), 'conv_seg.bias': torch.zeros(2)}  # never used
    head.load_state_dict(state)
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in head.state_dict().items())
