import pytest
import torch
import torch.nn.functional as F

from denseformer.attention.outlook import outlook_attention


@pytest.mark.parametrize('size', [(6, 8), (7, 5)])
def test_outlook_attention_mixes_each_window_and_sums_what_overlaps(size):
    heads, width = 2, 3
    h, w = ((side + 1) // 2 for side in size)
    logits = torch.randn(2, h, w, heads * 81, dtype=torch.double)
    v = torch.randn(2, *size, heads * width, dtype=torch.double)
    windows = F.unfold(v.permute(0, 3, 1, 2), 3, padding=1, stride=2).view(2, heads, width, 9, h * w)
    weights = logits.view(2, h * w, heads, 9, 9).softmax(-1)
    mixed = torch.einsum('bnhqk,bhdkn->bhdqn', weights, windows)
    expected = F.fold(mixed.reshape(2, -1, h * w), size, 3, padding=1, stride=2)
    torch.testing.assert_close(outlook_attention(logits, v), expected.permute(0, 2, 3, 1))
