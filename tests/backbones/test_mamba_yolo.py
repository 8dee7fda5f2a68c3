"""Mamba YOLO's backbone: the four directions of a scan, phases of pixels, and first step sizes."""

import torch

from denseformer.backbones import MambaYOLO
from denseformer.backbones.state_space.mamba_yolo import FourWayScan, PhaseMerging


@torch.no_grad()
def test_each_direction_scans_with_its_own_parameters():
    mixer, x = FourWayScan(4), torch.randn(2, 8, 3, 5)
    for i, (axes, reverse) in enumerate([((0, 2, 3, 1), 0), ((0, 3, 2, 1), 0), ((0, 2, 3, 1), 1), ((0, 3, 2, 1), 1)]):
        alone = FourWayScan(4)
        for j, scan in enumerate(alone.scans):
            if i == j:
                scan.load_state_dict(mixer.scans[i].state_dict())
            else:
                scan.D.zero_()
                scan.x_proj.zero_()  # nothing enters the states
        walk = x.permute(axes).flatten(1, 2)
        walk = walk.flip(1) if reverse else walk
        expected = mixer.scans[i](walk)
        expected = (expected.flip(1) if reverse else expected).view(x.permute(axes).shape)
        found = alone.scan(x)  # (B, H, W, D)
        torch.testing.assert_close(found, expected if axes[1] == 2 else expected.transpose(1, 2))


@torch.no_grad()
def test_phases_of_pixels_stand_in_the_authors_order_and_odd_sides_are_padded():
    merging = PhaseMerging(1, 4)
    merging.proj = torch.nn.Identity()
    image = torch.arange(1.0, 7.0).view(1, 1, 2, 3)
    assert merging(image)[0, :, 0].tolist() == [[1, 3], [4, 6], [2, 0], [5, 0]]


def test_all_states_decay_alike_at_first():
    scan = MambaYOLO(arch={'widths': (8, 8, 8, 8), 'depths': (1, 1, 1, 1)}).stages[0].blocks[0].attn[0].scans[0]
    assert not scan.A_log.any()
    assert scan.dt_bias.std() > 0.5


def test_the_weights_of_a_whole_detector_load_without_its_neck_and_head():
    network = MambaYOLO(arch={'widths': (8, 8, 8, 8), 'depths': (2, 1, 1, 1)})
    official = {
        'model.1.1.op.Ds': torch.arange(64.0),
        'model.3.op.dt_projs_bias': torch.arange(64.0).view(4, 16),
        'model.8.cv2.bn.bias': torch.full((8,), 2.0),
        'model.11.op.Ds': torch.ones(64),
        'model.21.cv2.0.2.bias': torch.ones(64),
    }
    assert not network.load_state_dict(official, strict=False).unexpected_keys
    assert network.stages[0].blocks[1].attn[0].scans[2].D.tolist() == list(range(32, 48))
    assert network.stages[1].blocks[0].attn[0].scans[3].dt_bias.tolist() == list(range(48, 64))
    assert (network.stages[3].blocks[1].expand.norm.bias == 2).all()
