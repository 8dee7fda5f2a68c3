"""The block of attention on the last map."""

import torch

from denseformer.checkpoints.keys import rename
from denseformer.necks import LastMapAttention


def test_only_the_last_map_changes_and_its_places_read_each_other():
    neck = LastMapAttention(in_channels=(4, 8), heads=2).eval()
    fine, last = torch.randn(2, 4, 6, 10), torch.randn(2, 8, 3, 5)
    first, out = neck([fine, last])
    assert first is fine
    assert out.shape == last.shape
    last[0, 0, 0, 0] += 10
    moved = (neck([fine, last])[1] - out).abs().amax(1) > 0  # (B, H, W)
    assert moved[0].all()
    assert not moved[1].any()


def test_takes_the_authors_names():
    neck = LastMapAttention(in_channels=(8,), heads=2)
    official = rename(neck.state_dict(), (r'^block\.mlp\.', 'ffn.'), (r'^block\.', ''))
    assert {'attn.qkv.weight', 'norm1.bias', 'ffn.fc1.weight', 'final_norm.weight'} <= set(official)
    left = LastMapAttention(in_channels=(8,), heads=2).load_state_dict(official)
    assert not left.missing_keys
    assert not left.unexpected_keys
