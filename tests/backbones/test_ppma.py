"""PPMA: decays along polyline paths."""

import pytest
import refkit
import torch

from denseformer.backbones import PPMA
from denseformer.backbones.global_attention.ppma import PathDecay, bent_paths

PARAMETERS = {'tiny': 12_784_832, 'small': 25_419_032, 'base': 52_608_308}


@pytest.mark.parametrize('arch', PARAMETERS)
def test_variants_have_the_published_parameters(arch):
    assert PPMA.describe(arch).parameters == PARAMETERS[arch]


def test_layer_scales_and_a_decomposed_third_stage_agree_with_the_authors_code():
    arch = {
        'widths': (32, 32, 64, 64),
        'depths': (1, 1, 2, 1),
        'heads': (2, 2, 4, 4),
        'mlp_ratios': (4, 4, 3, 3),
        'layer_scales': (None, None, 1e-6, 1e-6),
    }
    assert refkit.check(PPMA(arch=arch), 'ppma/probe_layerscale') < 1e-4


def test_a_path_loses_what_the_tokens_it_passes_take():
    decay = PathDecay(8, 2)
    x = torch.randn(1, 3, 4, 8)
    rows, columns = decay(x)
    torch.testing.assert_close(rows[..., 0, 3], rows[..., 0, 1] + rows[..., 1, 2] + rows[..., 2, 3])
    torch.testing.assert_close(columns[..., 2, 0], columns[..., 0, 1] + columns[..., 1, 2])
    assert (rows <= 0).all()


def test_paths_bend_once_on_the_row_or_the_column_of_the_query():
    rows, columns = -torch.rand(1, 3, 2, 4, 4), -torch.rand(1, 4, 2, 3, 3)
    rows, columns = rows + rows.transpose(3, 4), columns + columns.transpose(3, 4)
    there, back = (path.view(1, 2, 3, 4, 3, 4) for path in bent_paths(rows, columns))
    there, back = there[0, :, 1, 2, 0, 3], back[0, :, 1, 2, 0, 3]
    torch.testing.assert_close(there, rows[0, 1, :, 2, 3] + columns[0, 3, :, 1, 0])
    torch.testing.assert_close(back, columns[0, 2, :, 1, 0] + rows[0, 0, :, 2, 3])
