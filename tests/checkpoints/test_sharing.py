"""A finished model is written into a folder with its config, scores and card, and comes back the same."""

import json

import pytest
import torch
from safetensors.torch import save_file

from denseformer.checkpoints import CheckpointError
from denseformer.config.loading import load_config
from denseformer.inference import Predictor
from denseformer.restoration.networks import CFSR


def test_a_restoration_network_comes_back_without_a_config(tmp_path):
    network = CFSR(arch={'dim': 16, 'groups': 1, 'blocks': 1, 'kernel_size': 7}, scale=2)
    save_file(network.state_dict(), tmp_path / 'small.safetensors')
    predictor = Predictor(tmp_path / 'small.safetensors', device='cpu')
    folder = predictor.save_pretrained(tmp_path / 'model', scores={'PSNR': 30.5}, license='mit')
    again = Predictor.from_pretrained(folder, device='cpu')
    for key, value in predictor.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[key], value)
    card = (folder / 'README.md').read_text()
    assert 'license: mit' in card
    assert '| PSNR | 30.5 |' in card
    assert 'network: CFSR' in card
    assert json.loads((folder / 'scores.json').read_text()) == {'PSNR': 30.5}


def test_a_segmentor_comes_back_with_its_config_and_predicts_the_same(tmp_path):
    predictor = Predictor(load_config('upernet_dinat_nano_sample'), device='cpu')
    folder = predictor.save_pretrained(tmp_path / 'model')
    again = Predictor.from_pretrained(folder, device='cpu')
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        logits = [each.model.encode_decode(image, [{'img_shape': (64, 64)}]) for each in (predictor, again)]
    assert torch.equal(*logits)
    assert 'denseformer train upernet_dinat_nano_sample' in (folder / 'README.md').read_text()


def test_a_folder_without_weights_is_refused_by_name(tmp_path):
    with pytest.raises(CheckpointError, match=r'holds no model\.safetensors'):
        Predictor.from_pretrained(tmp_path)
