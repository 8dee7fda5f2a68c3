"""Optical flow: Middlebury files and colors, and flow that is computed."""

import numpy as np
import pytest

from denseformer.images.flow import FLO_MAGIC, color_wheel, dis_flow, flow_colors, read_flo


def write_flo(path, flow: np.ndarray) -> None:
    H, W = flow.shape[:2]
    head = np.array([FLO_MAGIC], '<f4').tobytes() + np.array([W, H], '<i4').tobytes()
    path.write_bytes(head + flow.astype('<f4').tobytes())


def test_reads_what_a_flo_file_holds_and_refuses_others(tmp_path):
    flow = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
    write_flo(tmp_path / 'a.flo', flow)
    np.testing.assert_array_equal(read_flo(tmp_path / 'a.flo'), flow)
    (tmp_path / 'b.flo').write_bytes((tmp_path / 'a.flo').read_bytes()[:-8])
    with pytest.raises(ValueError, match=r'124 bytes; a flow of 3 x 5 .* takes 132'):
        read_flo(tmp_path / 'b.flo')
    for content in (b'nothing of the kind', b'abc', b'seven b'):
        (tmp_path / 'c.flo').write_bytes(content)
        with pytest.raises(ValueError, match=r'c\.flo. is no \.flo file'):
            read_flo(tmp_path / 'c.flo')


def test_colors_tell_direction_and_length():
    assert color_wheel().shape == (55, 3)
    flow = np.array([[[0, 0], [4, 0], [-4, 0], [2, 0], [0, 4], [2e9, 0]]], np.float32)
    none, right, left, slow, down, unknown = flow_colors(flow)[0].astype(int)
    assert none.tolist() == [255, 255, 255]
    assert unknown.tolist() == [0, 0, 0]
    assert right.tolist() == [255, 0, 0]  # red, as in all published colors of flow
    assert left.tolist() == [0, 209, 255]
    assert down.tolist() == [255, 229, 0]
    np.testing.assert_allclose(slow, (255 + right) / 2, atol=1)


def test_flow_of_a_shifted_frame_is_the_shift():
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(0, 255, (20, 20)), np.ones((8, 8)))[..., None].repeat(3, 2).astype(np.uint8)
    flow = dis_flow(texture[:128, 10:138], texture[:128, 7:135])
    inner = flow[32:-32, 32:-32]
    np.testing.assert_allclose(np.median(inner, (0, 1)), [3, 0], atol=0.3)
    assert not dis_flow(texture[:8, :8], texture[:8, :8]).any()
    with pytest.raises(ValueError, match='one size'):
        dis_flow(texture, texture[:50])
