"""Benchmarks that are measured in parts make one file, each comparison with what it was measured by."""

import json
import sys
from argparse import Namespace
from types import SimpleNamespace

import harness_probe

from benchmarks import harness, tables
from benchmarks.__main__ import run

TITLES = ('first', 'second')


def measured(title: str) -> list[harness.Measurement]:
    return [harness.Measurement(title, name, 1.0, 2.0, 50.0, None, [0.1], [0.1]) for name in ('ours', 'theirs')]


def test_parts_are_put_together_in_the_order_of_the_benchmark(tmp_path):
    for command, title in (('a', 'gone'), ('b', 'second'), ('c', 'first')):
        tables.keep_results('speed', command, {title: measured(title)}, TITLES, tmp_path)
    kept = json.loads((tmp_path / 'speed.json').read_text())
    assert [(title, comparison['command']) for title, comparison in kept.items()] == [
        ('first', 'c'),
        ('second', 'b'),
        ('gone', 'a'),
    ]
    page = (tmp_path / 'speed.md').read_text()
    assert page.index('## first\n\n`c`; ') < page.index('## second\n\n`b`; ') < page.index('## gone')


def test_a_comparison_measured_again_replaces_the_older_one(tmp_path):
    for command in ('a', 'b'):
        tables.keep_results('speed', command, {'first': measured('first')}, TITLES, tmp_path)
    assert json.loads((tmp_path / 'speed.json').read_text())['first']['command'] == 'b'
    assert '`a`' not in (tmp_path / 'speed.md').read_text()


def test_peak_memory_is_that_of_one_contender_in_a_process_of_its_own():
    comparison = next(comp for comp in harness_probe.comparisons() if comp.title == 'buffers')
    names = [contender.name for contender in comparison.contenders]
    peaks = {name: harness.peak_memory('harness_probe', comparison.title, name) for name in names}
    assert 63 < peaks['large'] < 72
    assert 63 < peaks['one after the other'] < 72
    assert 3 < peaks['small'] < 12


def nothing():
    return lambda: None


def unavailable():
    raise harness.AbsentError('it is not installed')


def test_a_contender_that_cannot_take_part_is_left_out_and_named(capsys):
    makers = {'ours': nothing, 'theirs': unavailable, 'a third': nothing}
    contenders = tuple(harness.Contender(name, make, countable=False) for name, make in makers.items())
    measured = harness.measure(harness.Comparison('speed', contenders), rounds=2, memory=None)
    assert [(m.name, len(m.seconds)) for m in measured] == [('ours', 2), ('a third', 2)]
    assert 'speed, without theirs: it is not installed' in capsys.readouterr().out


def test_a_run_of_what_is_missing_leaves_what_was_measured(monkeypatch):
    comparisons = [
        harness.Comparison(title, (harness.Contender('ours', nothing, countable=False),)) for title in TITLES
    ]
    monkeypatch.setitem(sys.modules, 'benchmarks.probe', SimpleNamespace(comparisons=lambda: comparisons))
    monkeypatch.setattr(tables, 'kept_results', lambda name: {'first': {}})
    done = []
    monkeypatch.setattr(tables, 'keep_results', lambda name, command, group, titles: done.extend(group))
    for missing in (True, False):
        run('probe', '', Namespace(only='*', missing=missing, results=None, rounds=1, no_memory=True))
    assert done == ['second', 'first', 'second']
