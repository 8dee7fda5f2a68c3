"""A finished model is written into a folder with its config, scores and card, and comes back the same."""

import json

import pytest
import torch
from safetensors.torch import save_file

from denseformer.backbones import DiNAT
from denseformer.checkpoints import CheckpointError
from denseformer.checkpoints.sharing import saved_parts
from denseformer.config.loading import load_config
from denseformer.inference import Predictor
from denseformer.registry import MODELS
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
    with pytest.raises(CheckpointError, match='no folder that save_pretrained wrote'):
        Predictor.from_pretrained(tmp_path)


def test_a_folder_whose_config_is_gone_is_read_as_its_weights_are(tmp_path):
    folder = Predictor(load_config('upernet_dinat_nano_sample'), device='cpu').save_pretrained(tmp_path / 'model')
    (folder / 'config.py').unlink()
    for source in (folder, folder / 'model.safetensors'):
        with pytest.raises(ValueError, match=r'model\.safetensors: no tensor tells dilations'):
            Predictor.from_pretrained(source, device='cpu')


def test_weights_of_a_diverged_run_are_refused(tmp_path):
    weights = CFSR(arch={'dim': 16, 'groups': 1, 'blocks': 1, 'kernel_size': 7}, scale=2).state_dict()
    weights['conv_first.bias'][3] = float('nan')
    save_file(weights, tmp_path / 'last.safetensors')
    with pytest.raises(ValueError, match=r'last\.safetensors: 1 of its \d+ tensors hold NaN \(conv_first\.bias\)'):
        Predictor(tmp_path / 'last.safetensors', device='cpu')


@pytest.mark.parametrize(
    ('name', 'hint'),
    [('upernet_dinat_ade2k', "Did you mean 'upernet_dinat_ade20k'"), ('swin_tiny_imagenet1k', 'weights:swin_tiny')],
)
def test_a_name_that_no_config_has_comes_with_the_nearest(name, hint):
    with pytest.raises(ValueError, match=hint):
        Predictor.from_pretrained(name)


@pytest.mark.parametrize('pretrained', [True, False, 3])
def test_pretrained_is_a_name(pretrained):
    with pytest.raises(ValueError, match=f'pretrained={pretrained}: name the weights'):
        DiNAT(arch='mini', pretrained=pretrained)


def test_a_bare_backbone_is_saved_and_another_one_starts_from_its_folder(tmp_path):
    arch = {'width': 8, 'depths': (1, 1, 1, 1), 'heads': (1, 1, 2, 2), 'mlp_ratio': 2}
    network = DiNAT(arch=arch, dilations=((2,), (1,), (1,), (1,)))
    folder = network.save_pretrained(tmp_path / 'backbone', half=True)
    config, _ = saved_parts(folder)
    assert config.backbone == {'type': 'denseformer.DiNAT', 'arch': arch, 'dilations': ((2,), (1,), (1,), (1,))}
    other = MODELS.build({**config.backbone, 'pretrained': str(folder)})
    other.init_weights()
    for key, value in network.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value.half().float())
    with pytest.raises(ValueError, match='holds a backbone alone'):
        Predictor(folder, device='cpu')


def test_a_bare_restoration_network_is_saved_with_its_settings(tmp_path):
    network = CFSR(arch={'dim': 16, 'groups': 1, 'blocks': 1, 'kernel_size': 7}, scale=2)
    again = Predictor.from_pretrained(network.save_pretrained(tmp_path / 'model'), device='cpu').model.network
    assert again.scale == 2
    assert all(torch.equal(again.state_dict()[key], value) for key, value in network.state_dict().items())


def test_the_config_of_a_folder_is_never_run(tmp_path):
    (tmp_path / 'model.safetensors').write_bytes(b'')
    (tmp_path / 'config.py').write_text(f"model = dict(type=open({str(tmp_path / 'made')!r}, 'w'))")
    with pytest.raises(CheckpointError, match=r'config\.py: line 1 of its config is no literal .* and is not run'):
        Predictor.from_pretrained(tmp_path)
    assert not (tmp_path / 'made').exists()
