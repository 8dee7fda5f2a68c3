"""The command line: every command explains itself, and wrong usage is an answer, not a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from denseformer.cli import build_parser, main

ROOT = Path(__file__).parent.parent
COMMANDS = tuple(build_parser()._subparsers._group_actions[0].choices)


@pytest.mark.parametrize('command', COMMANDS)
def test_a_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as leaving:
        main([command, '--help'])
    assert leaving.value.code == 0
    assert f'usage: denseformer {command} ' in capsys.readouterr().out


@pytest.mark.parametrize('command', ['train', 'test', 'infer'])
def test_a_tool_is_the_command_of_its_name(command):
    run = subprocess.run([sys.executable, f'tools/{command}.py'], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert f'denseformer {command}' in run.stderr


@pytest.mark.parametrize(
    ('arguments', 'says'),
    [
        (['train', 'configs/upernet_dinta_ade20k.py'], "Did you mean 'upernet_dinat_ade20k.py'?"),
        (['train', 'configs/upernet_dinat_nano_sample.py', '--cfg-options', 'num_clases=3'], "'num_classes'"),
        (['train', 'configs/upernet_dinat_nano_sample.py', '--time-limit', 'soon'], 'write 11h30m'),
        (['infer', 'only_one', '--out', 'x'], 'put a glob in quotes'),
        (['infer', 'missing.pth', 'photos', '--out', 'x'], 'missing.pth'),
        (['export', 'missing.pth', '--out', 'x.onnx'], 'missing.pth'),
        (['doctor', 'missing.py'], 'no such config file'),
        (['list', 'configs', 'no such thing'], 'no shipped config'),
        (['test', 'configs/upernet_dinat_nano_sample.py', 'missing.pth'], 'no such checkpoint file'),
        (['prepare', 'lmdb', 'missing', 'x.lmdb'], 'missing'),
        (['explain', 'missing'], 'is it the --work-dir of a run'),
        (['explain', 'a', 'b', 'c'], 'two runs'),
    ],
    ids=lambda value: ' '.join(value[:2]) if isinstance(value, list) else '',
)
def test_wrong_usage_is_answered_in_a_sentence(arguments, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(arguments) == 2
    assert says in capsys.readouterr().err


def test_overrides_reach_the_config_as_values():
    options = build_parser().parse_args(
        ['train', 'c.py', '--cfg-options', 'model.depths=[2,2]', 'train_cfg.max_iters=5', 'name=a']
    )
    assert options.cfg_options == {'model.depths': [2, 2], 'train_cfg.max_iters': 5, 'name': 'a'}
