"""Benchmarks that are measured in parts make one file, each comparison with what it was measured by."""

import json

import harness_probe

from benchmarks import harness, tables

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
