"""DPT: how it takes tokens and what it refuses, and the heads of TIPS and CroCo beside their authors'."""

import pytest
import refkit
import torch

from denseformer.segmentation import CroCoDPTHead, DPTHead, TIPSDPTHead


def test_dpt_takes_maps_alone_or_with_the_class_token():
    maps = [torch.randn(2, 8, 4, 6) for _ in range(4)]
    tokens = [torch.randn(2, 3, 8) for _ in range(4)]
    options = dict(in_channels=(8,) * 4, num_classes=3, post_process_channels=(4, 4, 4, 4), channels=4)
    head = DPTHead(**options).eval()
    assert head(maps).shape == (2, 3, 32, 48)
    torch.testing.assert_close(head(maps), head(list(zip(maps, tokens, strict=True))))
    head = DPTHead(**options, readout='project').eval()
    changed = [torch.cat([x[:, :1] + 1, x[:, 1:]], 1) for x in tokens]
    a, b = (head(list(zip(maps, each, strict=True))) for each in (tokens, changed))
    assert not torch.allclose(a, b)
    with pytest.raises(ValueError, match='output_tokens=True'):
        head(maps)


def test_dpt_wants_four_maps_of_one_width():
    with pytest.raises(ValueError, match='4 maps of one width'):
        DPTHead(in_channels=(8, 8, 8), num_classes=3)


def test_the_decoder_of_tips_agrees_with_its_authors():
    def forward(head: TIPSDPTHead, image: torch.Tensor) -> torch.Tensor:
        maps = image.unflatten(1, (4, -1)).unbind(1)
        return head([(x, (x.mean((2, 3)) + i)[:, None]) for i, x in enumerate(maps)])

    head = TIPSDPTHead(in_channels=(32,) * 4, num_classes=7, channels=16)
    assert refkit.check(head, 'tips/dpt_narrow', forward) < 1e-4


def test_the_decoder_of_tips_loads_from_jax():
    head = TIPSDPTHead(in_channels=(8,) * 4, num_classes=3, channels=4)
    kernels = {
        'reassemble_blocks/out_projection_2': torch.randn(1, 1, 8, 4),
        'reassemble_blocks/readout_projects_0': torch.randn(16, 8),
        'reassemble_blocks/resize_layers_0': torch.randn(4, 4, 1, 1),
        'reassemble_blocks/resize_layers_3': torch.randn(3, 3, 8, 8),
        'convs_1': torch.randn(3, 3, 2, 4),
        'fusion_blocks_0/PreActResidualConvUnit_0/conv1': torch.randn(3, 3, 4, 4),
        'fusion_blocks_2/PreActResidualConvUnit_0/conv2': torch.randn(3, 3, 4, 4),
        'fusion_blocks_2/PreActResidualConvUnit_1/conv2': torch.randn(3, 3, 4, 4),
        'fusion_blocks_3/Conv_0': torch.randn(1, 1, 4, 4),
        'project': torch.randn(3, 3, 4, 4),
    }
    state = {f'decoder/dpt/{name}/kernel': value for name, value in kernels.items()}
    classifier = torch.randn(4, 3)
    left = head.load_state_dict({**state, 'decoder/pixel_segmentation/kernel': classifier}, strict=False)
    assert not left.unexpected_keys
    assert torch.equal(head.conv_seg.weight[..., 0, 0], classifier.T)
    first, _, _, last = head.reassemble_blocks.resize_layers
    assert torch.equal(first.weight[0, 0], kernels['reassemble_blocks/resize_layers_0'][:, :, 0, 0].flip(0, 1))
    assert torch.equal(last.weight, kernels['reassemble_blocks/resize_layers_3'].permute(3, 2, 0, 1))
    coarsest, _, fine, _ = head.fusion_blocks
    for unit, name in (
        (coarsest.res_conv_unit2.conv1, 'fusion_blocks_0/PreActResidualConvUnit_0/conv1'),
        (fine.res_conv_unit1.conv2, 'fusion_blocks_2/PreActResidualConvUnit_0/conv2'),
        (fine.res_conv_unit2.conv2, 'fusion_blocks_2/PreActResidualConvUnit_1/conv2'),
    ):
        assert torch.equal(unit.conv.weight, kernels[name].permute(3, 2, 0, 1))


def test_heads_of_authors_load_what_they_save():
    for head, options in ((TIPSDPTHead, {}), (CroCoDPTHead, dict(post_process_channels=(4, 4, 4, 4)))):
        first, second = (head(in_channels=(8,) * 4, num_classes=3, channels=4, **options) for _ in range(2))
        second.load_state_dict(first.state_dict())
        assert torch.equal(first.conv_seg.weight, second.conv_seg.weight)


def test_the_head_of_croco_ends_at_the_images_size_where_patches_are_even():
    head = CroCoDPTHead(in_channels=(8,) * 4, num_classes=3, channels=4, post_process_channels=(4, 4, 4, 4)).eval()
    assert head([torch.randn(1, 8, 2, 4)] * 4).shape == (1, 3, 32, 64)
