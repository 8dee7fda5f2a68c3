"""A run's folder says what it takes to repeat the run."""

import json

import tiny
import torch

from denseformer.engine.run_report import code_version, write_run_report


def test_seed_command_code_and_packages_are_written(tmp_path):
    runner = tiny.build(tiny.config(tmp_path, seed=11))
    path = write_run_report(runner)
    assert path == tmp_path / runner.timestamp / 'run.json'
    report = json.loads(path.read_text())
    assert report['seed'] == 11
    assert report['packages']['torch'].startswith(torch.__version__.split('+')[0])
    assert report['command']
    assert report['resumed from'] is None
    assert report['code'] == code_version()
    assert report['code'] is None or len(report['code']['commit']) == 40
