import torch

from denseformer.attention.spectral import global_filter, resize_spectrum


def test_a_global_filter_is_a_circular_convolution():
    x = torch.randn(2, 3, 6, 8, dtype=torch.double)
    kernel = torch.randn(3, 6, 8, dtype=torch.double)
    out = global_filter(x, torch.view_as_real(torch.fft.rfft2(kernel)))
    expected = torch.zeros_like(x)
    for row in range(6):
        for column in range(8):
            expected += kernel[:, row, column, None, None] * x.roll((row, column), (2, 3))
    torch.testing.assert_close(out, expected)


def test_a_spectrum_of_another_size_is_resized_and_keeps_its_corners():
    spectrum = torch.randn(2, 6, 4, 2)
    resized = resize_spectrum(spectrum, (9, 7))
    assert resized.shape == (2, 9, 7, 2)
    torch.testing.assert_close(resized[:, [0, 0, -1, -1], [0, -1, 0, -1]], spectrum[:, [0, 0, -1, -1], [0, -1, 0, -1]])
    torch.testing.assert_close(resize_spectrum(spectrum, (6, 4)), spectrum)
