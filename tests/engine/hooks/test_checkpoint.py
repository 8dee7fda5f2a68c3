"""Old checkpoints go only when the new one is safe."""

import os
import re
import shutil
from pathlib import Path

import pytest
import tiny

from denseformer.checkpoints import CheckpointError, newest_checkpoint, read_checkpoint, writing
from denseformer.engine.hooks.checkpoint import CheckpointHook, link


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.glob('*.pth') if not path.is_symlink())


@pytest.mark.parametrize('keep', [1, 2])
def test_a_save_that_fails_leaves_every_earlier_checkpoint(tmp_path, monkeypatch, keep):
    real = writing._write_and_verify

    def full(content, path):
        if content['meta']['iter'] >= 6:
            path.write_bytes(b'half')
            raise OSError(28, 'No space left on device')
        return real(content, path)

    monkeypatch.setattr(writing, '_write_and_verify', full)
    cfg = tiny.config(tmp_path, iters=8, interval=2)
    cfg.default_hooks.checkpoint.max_keep_ckpts = keep
    with pytest.raises(CheckpointError, match='No space left'):
        tiny.train(cfg)
    assert names(tmp_path) == [f'iter_{n}.pth' for n in (2, 4)][-keep:]
    assert newest_checkpoint(tmp_path) == (tmp_path / 'iter_4.pth', [])


def test_as_many_as_asked_for_are_kept_with_the_best(tmp_path):
    cfg = tiny.with_validation(tiny.config(tmp_path, iters=8, interval=2), interval=2, save_best='acc')
    tiny.train(cfg)
    assert names(tmp_path) == ['best_acc_iter_2.pth', 'iter_6.pth', 'iter_8.pth']
    assert all((tmp_path / f'{name}.sha256').is_file() for name in names(tmp_path))


def test_of_every_score_that_bases_choose_the_best_by_more_is_better():
    bases = (Path(__file__).parents[3] / 'configs/_base_').rglob('*.py')
    keys = {key for base in bases for key in re.findall(r"^key_metric = '(.+?)'", base.read_text(), re.MULTILINE)}
    keys.remove('PSNR')  # restoration's runtime says it of its scores
    assert {'mIoU', 'Dice', 'J&F', 'PQ'} <= keys
    assert {key: CheckpointHook(save_best=key).rules for key in keys} == {key: ['greater'] for key in keys}


@pytest.mark.parametrize('key', ['val_loss', 'decode.loss_dice', 'loss_acc'])
def test_less_of_a_loss_is_better_whatever_it_is_named_after(key):
    assert CheckpointHook(save_best=key).rules == ['less']
    assert CheckpointHook(save_best=key, rule='greater').rules == ['greater']


def test_best_and_last_lead_to_their_checkpoints_in_a_copied_folder_too(tmp_path):
    cfg = tiny.with_validation(tiny.config(tmp_path / 'run', iters=6, interval=2), interval=2, save_best='acc')
    tiny.train(cfg)
    shutil.copytree(tmp_path / 'run', tmp_path / 'copy', symlinks=True)
    shutil.rmtree(tmp_path / 'run')
    assert os.readlink(tmp_path / 'copy/best.pth') == 'best_acc_iter_2.pth'
    assert read_checkpoint(tmp_path / 'copy/best.pth')['meta']['iter'] == 2
    assert read_checkpoint(tmp_path / 'copy/last.pth')['meta']['iter'] == 6
    assert newest_checkpoint(tmp_path / 'copy')[0] == tmp_path / 'copy/iter_6.pth'
    shutil.copy(tmp_path / 'copy/best.pth', tmp_path / 'taken.pth')
    assert read_checkpoint(tmp_path / 'taken.pth')['meta']['iter'] == 2


def test_where_the_file_system_has_no_links_best_and_last_are_copies(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, 'symlink_to', lambda *_: (_ for _ in ()).throw(OSError('not supported')))
    (tmp_path / 'iter_1.pth').write_bytes(b'weights')
    link(tmp_path / 'iter_1.pth', 'last.pth')
    assert (tmp_path / 'last.pth').read_bytes() == b'weights'
    assert not (tmp_path / 'last.pth').is_symlink()


def test_a_new_run_forgets_the_best_of_the_one_before_it(tmp_path):
    cfg = tiny.with_validation(tiny.config(tmp_path, iters=2, interval=2), interval=2, save_best='acc')
    tiny.train(cfg)
    tiny.train(tiny.config(tmp_path, iters=2, interval=2))
    assert not (tmp_path / 'best.pth').exists()
    assert os.readlink(tmp_path / 'last.pth') == 'iter_2.pth'


def test_a_resumed_run_deletes_what_the_first_one_kept(tmp_path):
    tiny.train(tiny.config(tmp_path, iters=4, interval=2))
    tiny.train(tiny.config(tmp_path, iters=8, interval=2), resume=True)
    assert names(tmp_path) == ['iter_6.pth', 'iter_8.pth']


def test_remote_storage_is_refused_in_words(tmp_path):
    runner = tiny.build(tiny.config(tmp_path))
    with pytest.raises(ValueError, match='local or mounted'):
        runner.save_checkpoint(str(tmp_path), 'x.pth', backend_args={'backend': 'petrel'})
