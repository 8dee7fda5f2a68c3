"""Whatever happens while a checkpoint is written, a whole one is left."""

import os
import resource
import shutil
import signal
import subprocess

import pytest
import torch
from forks import in_child

from denseformer.checkpoints import CheckpointError, newest_checkpoint, read_checkpoint, write_checkpoint, writing
from denseformer.checkpoints.writing import fault


def content(number: int, size: int = 10_000) -> dict:
    weights = {'w': torch.full((size,), float(number))}
    return {'meta': {'iter': number, 'epoch': 0}, 'state_dict': weights, 'optimizer': {}}


def number(path) -> int:
    return int(read_checkpoint(path)['state_dict']['w'][0])


def kill_at(monkeypatch, call: int) -> None:
    """Kill this process at its call-th system call that writing makes."""
    calls = iter(range(1, 100))
    for name in ('fsync', 'replace'):
        real = getattr(os, name)

        def deadly(*arguments, real=real):
            if next(calls) == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)

        monkeypatch.setattr(writing.os, name, deadly)


@pytest.mark.parametrize('name', ['iter_1.pth', 'iter_2.pth'], ids=['same name', 'new name'])
def test_a_kill_at_any_point_leaves_the_old_or_the_new_one(tmp_path, monkeypatch, name):
    deaths = 0
    for call in range(1, 9):
        folder = tmp_path / str(call)
        write_checkpoint(content(1), folder / 'iter_1.pth')

        def work(folder=folder, call=call):
            kill_at(monkeypatch, call)
            write_checkpoint(content(2), folder / name)

        deaths += in_child(work) == -signal.SIGKILL
        path, skipped = newest_checkpoint(folder)
        assert number(path) in (1, 2)
        assert skipped == []
        write_checkpoint(content(3), folder / 'iter_3.pth')
        assert number(newest_checkpoint(folder)[0]) == 3
    assert deaths >= 6


def test_a_kill_in_the_middle_of_the_bytes_leaves_the_old_one(tmp_path, monkeypatch):
    write_checkpoint(content(1), tmp_path / 'iter_1.pth')

    def work():
        real = writing._HashingFile.write

        def deadly(self, data):
            real(self, data[: len(data) // 2])
            self.file.flush()
            if self.file.tell() > 5_000:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(self, data[len(data) // 2 :])

        monkeypatch.setattr(writing._HashingFile, 'write', deadly)
        write_checkpoint(content(2), tmp_path / 'iter_1.pth')

    assert in_child(work) == -signal.SIGKILL
    assert number(newest_checkpoint(tmp_path)[0]) == 1


def test_a_full_disk_leaves_the_old_one_and_no_rest(tmp_path):
    write_checkpoint(content(1), tmp_path / 'iter_1.pth')

    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        with pytest.raises(CheckpointError, match=r'iter_2\.pth: could not be written.*resume with --resume'):
            write_checkpoint(content(2), tmp_path / 'iter_2.pth')
        os._exit(7)

    assert in_child(work) == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ['iter_1.pth', 'iter_1.pth.sha256']
    assert number(newest_checkpoint(tmp_path)[0]) == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(CheckpointError, match='could not be written'):
        write_checkpoint(content(1), tmp_path / 'file' / 'iter_1.pth')


def test_a_disk_that_returns_other_bytes_is_noticed(tmp_path, monkeypatch):
    write_checkpoint(content(1), tmp_path / 'iter_1.pth')
    monkeypatch.setattr(writing, 'file_hash', lambda path: 'other')
    with pytest.raises(CheckpointError, match='differs from what was written'):
        write_checkpoint(content(2), tmp_path / 'iter_1.pth')
    monkeypatch.undo()
    assert number(tmp_path / 'iter_1.pth') == 1


@pytest.mark.parametrize('listed', [True, False])
def test_one_flipped_bit_is_found(tmp_path, listed):
    path = tmp_path / 'iter_1.pth'
    write_checkpoint(content(1), path)
    if not listed:
        (tmp_path / 'iter_1.pth.sha256').unlink()
    assert fault(path) is None
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert fault(path) is not None


def test_the_hash_is_one_that_sha256sum_checks(tmp_path):
    write_checkpoint(content(1), tmp_path / 'iter_1.pth')
    subprocess.run(['sha256sum', '-c', 'iter_1.pth.sha256'], cwd=tmp_path, check=True, capture_output=True)


def test_the_furthest_checkpoint_is_taken_whatever_its_name(tmp_path):
    for name, step in (('iter_9.pth', 9), ('interrupted.pth', 12), ('iter_10.pth', 10)):
        write_checkpoint(content(step), tmp_path / name)
    torch.save({'state_dict': {'w': torch.zeros(1)}}, tmp_path / 'pretrained.pth')
    write_checkpoint(content(99), tmp_path / 'best_mIoU_iter_99.pth')
    assert newest_checkpoint(tmp_path) == (tmp_path / 'interrupted.pth', [])


def test_an_empty_or_missing_folder_has_none(tmp_path):
    assert newest_checkpoint(tmp_path) == newest_checkpoint(tmp_path / 'nowhere') == (None, [])


def test_the_pointer_of_a_copied_folder_does_not_lead_back_to_the_original(tmp_path):
    write_checkpoint(content(4), tmp_path / 'run' / 'iter_4.pth')
    (tmp_path / 'run' / 'last_checkpoint').write_text(str(tmp_path / 'run' / 'iter_4.pth'))
    (tmp_path / 'copy').mkdir()
    shutil.copy(tmp_path / 'run' / 'last_checkpoint', tmp_path / 'copy')
    assert newest_checkpoint(tmp_path / 'copy')[0] is None
    assert newest_checkpoint(tmp_path / 'run')[0] == tmp_path / 'run' / 'iter_4.pth'


def test_the_pointer_may_lead_to_another_folder(tmp_path):
    write_checkpoint(content(4), tmp_path / 'elsewhere' / 'iter_4.pth')
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'last_checkpoint').write_text(str(tmp_path / 'elsewhere' / 'iter_4.pth'))
    assert newest_checkpoint(tmp_path / 'run')[0] == tmp_path / 'elsewhere' / 'iter_4.pth'
    (tmp_path / 'run' / 'last_checkpoint').write_bytes(b'\xff\x00broken')
    assert newest_checkpoint(tmp_path / 'run')[0] is None
