"""Networks from files of weights alone, in the layouts that such files come in."""

import pickle
from pathlib import Path

import pytest
import refkit
import torch
from safetensors.torch import save_file

from denseformer.restoration import from_checkpoint
from denseformer.restoration.networks import CFSR, SwinIR

IMAGE = torch.rand(1, 3, 12, 20, generator=torch.Generator().manual_seed(0))


def official(name: str) -> dict[str, torch.Tensor]:
    return refkit.fill_state_dict(refkit.load_reference(name)['shapes'])


@pytest.mark.parametrize('wrapper', ['params_ema', 'params', 'state_dict', 'ema', 'generator', None])
def test_weights_come_out_of_their_wrappers(tmp_path, wrapper):
    weights = official('cfsr/cfsr_x2')
    path = tmp_path / 'weights.pth'
    torch.save({wrapper: weights} if wrapper else weights, path)
    network = from_checkpoint(path)
    assert (type(network), network.scale, network.merged, network.training) == (CFSR, 2, True, False)


def test_averaged_weights_are_preferred(tmp_path):
    weights = official('cfsr/cfsr_x2')
    torch.save({'params': weights, 'params_ema': {k: v + 1 for k, v in weights.items()}}, tmp_path / 'both.pth')
    network = from_checkpoint(tmp_path / 'both.pth')
    torch.testing.assert_close(network.conv_first.weight, weights['conv_first.weight'] + 1)


def test_safetensors_and_a_parallel_wrapper(tmp_path):
    weights = {f'module.{key}': value for key, value in official('swinir/swinir_light_x2').items()}
    save_file(weights, tmp_path / 'weights.safetensors')
    network = from_checkpoint(str(tmp_path / 'weights.safetensors'))
    assert (type(network), network.scale) == (SwinIR, 2)
    assert network.arch == SwinIR.archs['light']


@pytest.mark.parametrize('prefix', ['_orig_mod.', 'model.', 'net_g.', 'module.net_g._orig_mod.'])
def test_a_prefix_that_all_names_share_is_removed(tmp_path, prefix):
    weights = official('cfsr/cfsr_x2')
    torch.save({prefix + key: value for key, value in weights.items()}, tmp_path / 'prefixed.pth')
    network = from_checkpoint(tmp_path / 'prefixed.pth')
    assert torch.equal(network.conv_first.weight, weights['conv_first.weight'])


def test_names_like_those_of_a_family_without_the_rest_are_of_no_known_network(tmp_path):
    weights = {key: value for key, value in official('cfsr/cfsr_x2').items() if 'attn' not in key}
    torch.save(weights, tmp_path / 'foreign.pth')
    with pytest.raises(ValueError, match=r'foreign.pth holds weights of no known restoration network'):
        from_checkpoint(tmp_path / 'foreign.pth')


def test_own_weights_of_an_unpublished_variant(tmp_path):
    arch = {'dim': 24, 'groups': 2, 'blocks': 1, 'heads': 3, 'window': 4, 'upsampler': 'nearest+conv'}
    network = SwinIR(arch=arch, scale=2, in_channels=3).eval()
    torch.save(network.state_dict(), tmp_path / 'own.pth')
    again = from_checkpoint(tmp_path / 'own.pth')
    assert again.arch == network.arch
    with torch.no_grad():
        assert torch.equal(again(IMAGE), network(IMAGE))


class Evil:
    def __reduce__(self):
        return Path.touch, (Path('executed'),)


def test_code_in_a_file_is_refused_and_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'evil.pth'
    torch.save({'params': Evil()}, path)
    with pytest.raises(ValueError, match=r'evil\.pth.*pathlib'):
        from_checkpoint(path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match=r'evil\.pth'):
        from_checkpoint(path)
    assert not (tmp_path / 'executed').exists()


def test_errors_name_the_file(tmp_path):
    with pytest.raises(ValueError, match=r'absent\.pth'):
        from_checkpoint(tmp_path / 'absent.pth')
    (tmp_path / 'text.pth').write_text('no checkpoint')
    with pytest.raises(ValueError, match=r'text\.pth'):
        from_checkpoint(tmp_path / 'text.pth')
    torch.save({'epoch': 3}, tmp_path / 'empty.pth')
    with pytest.raises(ValueError, match=r'empty\.pth'):
        from_checkpoint(tmp_path / 'empty.pth')
    torch.save({'stem.weight': torch.zeros(3)}, tmp_path / 'unknown.pth')
    with pytest.raises(ValueError, match=r'unknown\.pth.*SwinIR.*stem\.weight'):
        from_checkpoint(tmp_path / 'unknown.pth')
    weights = official('cfsr/cfsr_x2')
    del weights['norm.bias']
    torch.save(weights, tmp_path / 'partial.pth')
    with pytest.raises(ValueError, match=r'(?s)partial\.pth.*norm\.bias'):
        from_checkpoint(tmp_path / 'partial.pth')
