"""Files made to harm: nothing runs, nothing is allocated that is not there, and every refusal names the file."""

import io
import json
import pickle
import pickletools
import struct
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save as save_safetensors

from denseformer.checkpoints import CheckpointError, newest_checkpoint, read_checkpoint

BOUNDED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def stored(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


SOUND = {
    '.pth': stored({'meta': {'iter': 1}, 'state_dict': {'w': torch.zeros(8)}, 'optimizer': {}}),
    '.safetensors': save_safetensors({'w': torch.zeros(8)}),
}


def with_pickle(data: bytes) -> bytes:
    """A checkpoint whose description of tensors is replaced by another pickle."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(SOUND['.pth'])) as old, zipfile.ZipFile(out, 'w') as new:
        for name in old.namelist():
            new.writestr(name, data if name.endswith('data.pkl') else old.read(name))
    return out.getvalue()


def call(module: str, name: str, *arguments: str) -> bytes:
    """A pickle that calls a function, written by hand so that no module has to have it."""
    texts = b''.join(b'V' + argument.encode() + b'\n' for argument in arguments)
    return b'c' + f'{module}\n{name}\n'.encode() + b'(' + texts + b'tR.'


PICKLES = {
    'os.system': call('os', 'system', 'touch {}'),
    'posix.system': call('posix', 'system', 'touch {}'),
    'eval': call('builtins', 'eval', "open('{}', 'w')"),
    'exec': call('builtins', 'exec', "open('{}', 'w')"),
    'subprocess': call('subprocess', 'getoutput', 'touch {}'),
    'mmengine config': call('mmengine.config', 'Config.fromstring', "open('{}', 'w')", '.py'),
    'runpy': call('runpy', 'run_path', '{}'),
    'numpy load': call('numpy', 'load', '{}'),
    'torch.load': call('torch', 'load', '{}'),
    'torch hub': call('torch.hub', 'load', 'a/b', 'c'),
    'import': call('importlib', 'import_module', 'antigravity'),
}


@pytest.mark.parametrize('name', PICKLES)
@pytest.mark.parametrize('wrapped', [True, False], ids=['zip', 'plain'])
def test_a_call_in_a_pickle_is_refused_by_name(tmp_path, name, wrapped):
    ran = tmp_path / 'ran'
    data = PICKLES[name].replace(b'{}', str(ran).encode())
    pickletools.dis(data, io.StringIO())
    path = tmp_path / 'w.pth'
    path.write_bytes(with_pickle(data) if wrapped else data)
    with pytest.raises(CheckpointError, match=r'w\.pth'):
        read_checkpoint(path)
    assert not ran.exists()
    assert newest_checkpoint(tmp_path)[0] is None


def header(text: bytes, length: int | None = None) -> bytes:
    return struct.pack('<Q', len(text) if length is None else length) + text


def tensor(shape, offsets) -> bytes:
    return header(json.dumps({'w': {'dtype': 'F32', 'shape': shape, 'data_offsets': offsets}}).encode())


SAFETENSORS = {
    'empty': b'',
    'header longer than the file': header(b'{}', 2**40),
    'header of all numbers': header(b'{}', 2**64 - 1),
    'no json': header(b'{{{{'),
    'deep json': header(b'[' * 50_000),
    'absurd shape': tensor([2**31, 2**31], [0, 4]),
    'offsets outside': tensor([2], [0, 2**40]),
    'negative shape': tensor([-1], [0, 4]),
    'offsets turned': tensor([1], [4, 0]) + b'\0' * 4,
}


@pytest.mark.parametrize('name', SAFETENSORS)
def test_an_absurd_safetensors_header_is_refused(tmp_path, name):
    path = tmp_path / 'w.safetensors'
    path.write_bytes(SAFETENSORS[name])
    with pytest.raises(CheckpointError, match=r'w\.safetensors: not a complete'):
        read_checkpoint(path)


@pytest.mark.parametrize(
    'data',
    [b'', b'PK', b'PK\x03\x04', b'PK\x05\x06' + b'\xff' * 18, b'\x80', b'\x80\x02', b'(' * 10_000, b'\x93NUMPY', b'{}'],
    ids=repr,
)
def test_rubbish_is_refused(tmp_path, data):
    (tmp_path / 'w.pth').write_bytes(data)
    with pytest.raises(CheckpointError, match=r'w\.pth'):
        read_checkpoint(tmp_path / 'w.pth')


def test_config_text_in_a_checkpoint_is_not_run(tmp_path):
    text = f"open({str(tmp_path / 'ran')!r}, 'w')"
    content = {'meta': {'cfg': text, 'config': text, 'iter': 1}, 'state_dict': {'w': torch.zeros(1)}, 'optimizer': {}}
    torch.save(content, tmp_path / 'iter_1.pth')
    assert newest_checkpoint(tmp_path)[0] == tmp_path / 'iter_1.pth'
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('suffix', SOUND)
@BOUNDED
@given(data=st.data())
def test_any_damage_is_an_error_with_the_name_or_harmless(tmp_path, suffix, data):
    sound = SOUND[suffix]
    damaged = bytearray(sound[: data.draw(st.integers(0, len(sound)))])
    for position in data.draw(st.lists(st.integers(0, max(len(damaged) - 1, 0)), max_size=8)):
        if damaged:
            damaged[position] = data.draw(st.integers(0, 255))
    path = tmp_path / f'w{suffix}'
    path.write_bytes(damaged)
    try:
        assert isinstance(read_checkpoint(path), dict)
    except CheckpointError as error:
        assert 'w' + suffix in str(error)  # noqa: PT017 (both outcomes are right)


@BOUNDED
@given(st.binary(max_size=200))
def test_any_pickle_is_refused_or_data(tmp_path, data):
    path = tmp_path / 'w.pth'
    for content in (data, with_pickle(data), pickle.dumps(data)):
        path.write_bytes(content)
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            assert 'w.pth' in str(error)  # noqa: PT017 (both outcomes are right)
