"""Checkpoints are data: nothing in them runs, and what is broken is named."""

import gzip
import json
import pickle
import zipfile
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from safetensors.torch import save_file
from torch import nn

from denseformer.checkpoints import CheckpointError, read_checkpoint, weights_of
from denseformer.checkpoints.common import UntrustedError
from denseformer.checkpoints.files import read_weights
from denseformer.checkpoints.other_kinds import other_kind

WEIGHTS = {'a.weight': torch.arange(6.0).view(2, 3)}


class Payload:
    """A pickle that creates a file when it is loaded the ordinary way."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


def test_reads_safetensors(tmp_path):
    save_file(WEIGHTS, tmp_path / 'w.safetensors')
    assert torch.equal(read_checkpoint(tmp_path / 'w.safetensors')['a.weight'], WEIGHTS['a.weight'])


def test_reads_what_a_run_of_mmengine_writes(tmp_path):
    hub = MessageHub.get_instance('test_reads_what_a_run_of_mmengine_writes')
    hub.update_scalar('train/loss', 1.5)
    meta = {'epoch': 1, 'score': np.float64(3.5), 'classes': ('a', 'b'), 'palette': np.zeros((2, 3), np.uint8)}
    torch.save({'state_dict': WEIGHTS, 'message_hub': hub.state_dict(), 'meta': meta}, tmp_path / 'w.pth')
    content = read_checkpoint(tmp_path / 'w.pth')
    assert content['message_hub']['log_scalars']['train/loss'].current() == 1.5
    assert content['meta']['score'] == 3.5


def test_a_payload_does_not_run_and_is_named(tmp_path):
    torch.save({'state_dict': WEIGHTS, 'extra': Payload(tmp_path / 'ran')}, tmp_path / 'w.pth')
    with pytest.raises(CheckpointError, match=r'w\.pth: refused.*open'):
        read_checkpoint(tmp_path / 'w.pth')
    assert not (tmp_path / 'ran').exists()


def test_getattr_reaches_nothing_but_history_statistics(tmp_path):
    class Reach:
        def __reduce__(self):
            return getattr, (np.ndarray, 'tofile')

    torch.save({'state_dict': WEIGHTS, 'extra': Reach()}, tmp_path / 'w.pth')
    with pytest.raises(CheckpointError, match='refused'):
        read_checkpoint(tmp_path / 'w.pth')


def test_a_trusted_file_is_read_as_pickle(tmp_path):
    torch.save({'state_dict': WEIGHTS, 'extra': Payload(tmp_path / 'ran')}, tmp_path / 'w.pth')
    assert 'state_dict' in read_checkpoint(tmp_path / 'w.pth', trust=True)


def test_an_old_style_pickle_with_a_payload_is_refused(tmp_path):
    torch.save({'w': Payload(tmp_path / 'ran')}, tmp_path / 'w.pth', _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r'w\.pth: refused, .* io\.open'):
        read_checkpoint(tmp_path / 'w.pth')
    assert not (tmp_path / 'ran').exists()


def test_arrays_of_detectron2_are_weights(tmp_path):
    arrays = {'a.weight': np.arange(6, dtype=np.float32).reshape(2, 3)}
    (tmp_path / 'w.pkl').write_bytes(pickle.dumps({'model': arrays, '__author__': 'nobody'}))
    assert torch.equal(weights_of(read_checkpoint(tmp_path / 'w.pkl'))['a.weight'], torch.arange(6.0).reshape(2, 3))


def test_numpys_archives_are_weights_and_hold_no_objects(tmp_path):
    np.savez(tmp_path / 'weights.npz', **{'blocks.0.norm1.weight': np.ones(3, np.float32)})
    weights = weights_of(read_checkpoint(tmp_path / 'weights.npz'))
    assert torch.equal(weights['blocks.0.norm1.weight'], torch.ones(3))
    np.savez(tmp_path / 'objects.npz', payload=np.array([{}], dtype=object))
    with pytest.raises(CheckpointError, match='Object arrays cannot be loaded'):
        read_checkpoint(tmp_path / 'objects.npz')


def test_a_call_beside_arrays_is_refused_by_name(tmp_path):
    (tmp_path / 'w.pkl').write_bytes(pickle.dumps({'model': np.zeros(1), 'x': Payload(tmp_path / 'ran')}))
    with pytest.raises(CheckpointError, match=r'w\.pkl: refused, .* io\.open'):
        read_checkpoint(tmp_path / 'w.pkl')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:0\n', 'git lfs pull'),
        (b'\n<!DOCTYPE html>', 'a web page'),
        (b'# Weights\n', 'neither a zip archive nor a pickle'),
        (b'{"weight_map": {}}', 'a text in JSON'),
        (gzip.compress(b'weights', mtime=0), 'gunzip'),
        (bytes(257) + b'ustar', 'tar -xf'),
        (b'\x89HDF\r\n', r'\.npz'),
    ],
)
@pytest.mark.parametrize('suffix', ['.pth', '.pkl'])
def test_what_came_in_place_of_a_checkpoint_is_named(tmp_path, content, words, suffix):
    (tmp_path / f'w{suffix}').write_bytes(content)
    with pytest.raises(CheckpointError, match=words):
        read_checkpoint(tmp_path / f'w{suffix}')


@pytest.mark.parametrize('length', [0x3C20, 0x7B20], ids=['a web page', 'JSON'])
def test_a_safetensors_file_whose_first_bytes_are_those_of_another_kind_is_read(tmp_path, length):
    save_file({'w': torch.ones(2)}, tmp_path / 'w.safetensors')
    content = (tmp_path / 'w.safetensors').read_bytes()
    end = 8 + int.from_bytes(content[:8], 'little')
    header = content[8:end].ljust(length)
    (tmp_path / 'w.safetensors').write_bytes(length.to_bytes(8, 'little') + header + content[end:])
    assert other_kind(tmp_path / 'w.safetensors') == ''
    assert read_checkpoint(tmp_path / 'w.safetensors')['w'].tolist() == [1, 1]


@pytest.mark.parametrize('size', [0, 10, 300])
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_a_truncated_file_is_named(tmp_path, size, suffix):
    whole = tmp_path / f'whole{suffix}'
    (save_file if suffix == '.safetensors' else torch.save)({'w': torch.zeros(1000)}, whole)
    cut = tmp_path / f'cut{suffix}'
    cut.write_bytes(whole.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=f'cut{suffix}: not a complete'):
        read_checkpoint(cut)


def test_other_files_are_named(tmp_path):
    with zipfile.ZipFile(tmp_path / 'w.pth', 'w') as archive:
        archive.writestr('readme.txt', 'hello')
    with pytest.raises(CheckpointError, match=r'w\.pth: an archive of readme\.txt'):
        read_checkpoint(tmp_path / 'w.pth')
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(CheckpointError, match='not a mapping'):
        read_checkpoint(tmp_path / 'list.pth')
    with pytest.raises(CheckpointError, match='no such checkpoint file'):
        read_checkpoint(tmp_path / 'nowhere.pth')
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / 'program.pth')
    with pytest.raises(CheckpointError, match=r'program\.pth: a TorchScript program.*state_dict'):
        read_checkpoint(tmp_path / 'program.pth')


def test_a_folder_of_another_program_says_which_file_to_name(tmp_path):
    for name in (
        'run/step1/mp_rank_00_model_states.pt',
        'run/step1/zero_pp_rank_0_optim_states.pt',
        'parts/model-00001-of-00002.safetensors',
        'parts/model-00002-of-00002.safetensors',
        'ours/iter_1.pth',
        'photos/a.jpg',
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for folder, words in (
        ('run', r'DeepSpeed wrote it\. Name step1.mp_rank_00_model_states\.pt'),
        ('parts', 'a model in 2 parts'),
        ('ours', r'name one of its files: iter_1\.pth'),
        ('photos', 'it holds no checkpoint'),
    ):
        with pytest.raises(CheckpointError, match=words):
            read_checkpoint(tmp_path / folder)


def test_a_model_in_parts_is_read_by_its_index(tmp_path):
    parts = [f'net-0000{i}-of-00002.bin' for i in (1, 2)]
    for i, name in enumerate(parts):
        torch.save({f'{i}.weight': torch.full((2,), float(i))}, tmp_path / name)
    index = tmp_path / 'net.bin.index.json'
    index.write_text(json.dumps({'weight_map': {'0.weight': parts[0], '1.weight': parts[1]}}))
    assert read_weights(index)['1.weight'].tolist() == [1, 1]
    with pytest.raises(CheckpointError, match=r'00001-of-00002\.bin: part 1 of 2 of a model\. Name the \.index\.json'):
        read_checkpoint(tmp_path / parts[0])
    with pytest.raises(CheckpointError, match=r'in 2 parts .*Name net\.bin\.index\.json'):
        read_checkpoint(tmp_path)
    (tmp_path / parts[1]).unlink()
    with pytest.raises(CheckpointError, match=r'index\.json: lists parts that do not lie beside it: net-00002'):
        read_checkpoint(index)
    index.write_text('{"weight_map": {"w": "../secret.bin"}}')
    with pytest.raises(CheckpointError, match=r'index\.json: not an index'):
        read_checkpoint(index)
    (tmp_path / 'one-00001-of-00001.bin').write_bytes((tmp_path / parts[0]).read_bytes())
    assert list(read_checkpoint(tmp_path / 'one-00001-of-00001.bin')) == ['0.weight']


def test_a_fold_is_no_part_of_a_model(tmp_path):
    for fold in (1, 2):
        torch.save(WEIGHTS, tmp_path / f'model-fold-{fold}-of-2.pth')
    assert read_weights(tmp_path / 'model-fold-1-of-2.pth').keys() == WEIGHTS.keys()
    with pytest.raises(CheckpointError, match=r'name one of its files: model-fold-1-of-2\.pth'):
        read_checkpoint(tmp_path)


def test_the_arguments_of_a_run_are_data(tmp_path):
    torch.save({'model': WEIGHTS, 'args': Namespace(lr=1e-3, output_dir=Path('runs'))}, tmp_path / 'w.pth')
    assert read_checkpoint(tmp_path / 'w.pth')['args'].lr == 1e-3


def test_a_whole_network_is_refused_with_the_way_to_its_weights(tmp_path):
    for content in (nn.Linear(1, 1), {'model': nn.Linear(1, 1)}):
        torch.save(content, tmp_path / 'net.pt')
        with pytest.raises(
            UntrustedError, match=r'net\.pt: refused.*whole network.*state_dict\(\).*--trust-checkpoint'
        ):
            read_checkpoint(tmp_path / 'net.pt')


def test_a_loss_beside_the_weights_is_no_network(tmp_path):
    torch.save({'state_dict': WEIGHTS, 'criterion': nn.CrossEntropyLoss()}, tmp_path / 'run.pth')
    with pytest.raises(UntrustedError, match=r'more than data: torch\.nn\.modules\.loss\..*--trust-checkpoint'):
        read_checkpoint(tmp_path / 'run.pth')
    assert weights_of(read_checkpoint(tmp_path / 'run.pth', trust=True)).keys() == WEIGHTS.keys()


@pytest.mark.parametrize('path', ['checkpoint.model', 'ema_params', 'run.last.weights'])
def test_weights_below_any_name_are_found_where_it_is_the_only_one(path):
    content = WEIGHTS
    for name in reversed(path.split('.')):
        content = {name: content, 'epoch': 3, 'optimizer': {'state': {0: {'exp_avg': torch.ones(2)}}}}
    assert weights_of(content).keys() == WEIGHTS.keys()


def test_weights_of_several_networks_are_named():
    with pytest.raises(ValueError, match='they lie below g_ema and d'):
        weights_of({'g_ema': WEIGHTS, 'd': WEIGHTS})


@pytest.mark.parametrize('name', ['scaler', 'grad_scaler', 'lr_scheduler', 'rng_states', 'optimizer'])
def test_the_state_of_a_run_is_no_network(name):
    state = {name: {'scale': torch.ones(1)}, 'epoch': 3}
    with pytest.raises(ValueError, match='found no weights'):
        weights_of(state)
    assert weights_of(state | {'upscaler': WEIGHTS}).keys() == WEIGHTS.keys()


@pytest.mark.parametrize('wrapper', ['state_dict', 'model', 'params', 'params_ema'])
def test_weights_come_out_of_their_wrappers(wrapper):
    content = {'epoch': 3, wrapper: {f'module.{key}': value for key, value in WEIGHTS.items()}}
    assert list(weights_of(content)) == ['a.weight']


def test_the_averaged_weights_are_preferred():
    assert weights_of({'params': {'a': torch.zeros(1)}, 'params_ema': {'a': torch.ones(1)}})['a'] == 1


def test_a_file_without_weights_says_what_it_has():
    with pytest.raises(ValueError, match='optimizer'):
        weights_of({'optimizer': {}})


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ({}, 'it is empty'),
        ({'state': {}, 'param_groups': []}, 'the state of an optimizer'),
        ({0: torch.ones(1)}, 'no tensors by name'),
    ],
)
def test_what_stands_in_place_of_weights_is_named(content, words):
    with pytest.raises(ValueError, match=words):
        weights_of(content)


def test_a_count_beside_the_weights_hides_nothing():
    content = {'epoch': torch.tensor(3), 'ema': {'decay': 0.999}, 'models': {'net': {'module.a.weight': torch.ones(1)}}}
    assert list(weights_of(content)) == ['a.weight']
