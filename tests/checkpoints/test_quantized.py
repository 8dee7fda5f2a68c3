"""Quantized weights end in an error that names the file, who rounded them and what to get instead."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from denseformer.checkpoints import CheckpointError, read_checkpoint
from denseformer.checkpoints.files import read_weights
from denseformer.checkpoints.quantized import quantization
from denseformer.inspection.identify import identify
from denseformer.restoration import from_checkpoint
from denseformer.restoration.networks import CFSR

WHOLE = torch.zeros(4, 4, dtype=torch.int32)
FILES = {
    'GPTQ': {'a.qweight': WHOLE, 'a.qzeros': WHOLE, 'a.scales': torch.ones(4).half(), 'a.g_idx': WHOLE[0]},
    'GPTQ or AWQ': {'a.qweight': WHOLE, 'a.qzeros': WHOLE, 'a.scales': torch.ones(4).half()},
    'bitsandbytes, 8 bits': {'a.weight': WHOLE.to(torch.int8), 'a.SCB': torch.ones(4)},
    'bitsandbytes, 4 bits': {'a.weight': WHOLE.to(torch.uint8), 'a.weight.absmax': torch.ones(4)},
    'compressed-tensors': {'a.weight_packed': WHOLE, 'a.weight_scale': torch.ones(4)},
    'quanto': {'a.weight._data': WHOLE.to(torch.int8), 'a.weight._scale': torch.ones(4)},
    'int8 numbers': {'a.weight': WHOLE.to(torch.int8), 'a.scale': torch.ones(4)},
    'float8_e4m3fn with scales': {'a.weight': WHOLE.to(torch.float8_e4m3fn), 'a.weight_scale': torch.ones(())},
}


@pytest.mark.parametrize('kind', FILES)
def test_a_quantized_file_is_named_with_its_kind_and_the_way_out(tmp_path, kind):
    save_file({key: value.clone() for key, value in FILES[kind].items()}, tmp_path / 'small.safetensors')
    for read in (read_weights, identify, from_checkpoint):
        with pytest.raises(ValueError, match=rf'small\.safetensors: quantized weights \({kind}\)\. .*base model'):
            read(tmp_path / 'small.safetensors')


@pytest.mark.filterwarnings('ignore:torch.quantize_per_tensor', 'ignore:TypedStorage')
def test_tensors_and_layers_that_pytorch_quantized_are_named(tmp_path):
    rounded = torch.quantize_per_tensor(torch.ones(4, 3), 0.1, 0, torch.qint8)
    torch.save({'model': {'a.weight': rounded, 'a.bias': torch.ones(4)}}, tmp_path / 'static.pth')
    with pytest.raises(CheckpointError, match=r'static\.pth: quantized weights \(PyTorch, qint8\)'):
        identify(tmp_path / 'static.pth')
    layers = {'a.scale': torch.ones(()), 'a._packed_params.dtype': torch.qint8, 'a._packed_params._packed_params': ()}
    torch.save(layers, tmp_path / 'dynamic.pth')
    with pytest.raises(CheckpointError, match=r'dynamic\.pth: quantized weights \(PyTorch, by layers\)'):
        identify(tmp_path / 'dynamic.pth')


def test_a_tensor_of_a_package_that_quantizes_is_refused_as_quantized(tmp_path):
    (tmp_path / 'a.pth').write_bytes(b'\x80\x02ctorchao.dtypes\nAffineQuantizedTensor\n)R.')
    with pytest.raises(CheckpointError, match=r'a\.pth: quantized weights \(torchao\.dtypes'):
        read_checkpoint(tmp_path / 'a.pth')
    (tmp_path / 'b.pth').write_bytes(pickle.dumps(nn.Identity(), protocol=2))
    with pytest.raises(CheckpointError, match='a whole network'):
        read_checkpoint(tmp_path / 'b.pth')


def test_counts_tables_and_half_precision_are_not_quantized():
    weights = CFSR(arch='base', scale=2).half().state_dict()
    tables = {
        'n.num_batches_tracked': torch.zeros((), dtype=torch.long),
        'table.index': WHOLE,
        'a.scale': torch.ones(3),
    }
    assert quantization(weights | tables) == ''
