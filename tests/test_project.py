"""Promises that stand in several files of the project are the same in all of them."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from denseformer import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
MAKEFILE = (ROOT / 'Makefile').read_text()


def test_every_promised_python_is_checked():
    workflow = yaml.safe_load((ROOT / '.github/workflows/checks.yml').read_text())
    checked = workflow['jobs']['checks']['strategy']['matrix']['python']
    classified = [name.rpartition(' ')[2] for name in PROJECT['classifiers'] if ':: Python :: 3.' in name]
    assert checked == classified
    assert PROJECT['requires-python'] == f'>={checked[0]}'
    *first, last = checked
    assert f'Python {", ".join(first)} or {last}' in (ROOT / 'README.md').read_text()


def test_every_direct_dependency_is_pinned():
    lines = (ROOT / 'constraints.txt').read_text().splitlines()
    pinned = {normalized(line.partition('==')[0]) for line in lines if '==' in line}
    wanted = [
        *PROJECT['dependencies'],
        *(name for extra in PROJECT['optional-dependencies'].values() for name in extra),
    ]
    assert {normalized(re.match(r'[\w-]+', name)[0]) for name in wanted} <= pinned


def normalized(name: str) -> str:
    return re.sub(r'[-_.]+', '-', name).lower()


def test_the_rooms_stand_in_the_order_in_which_they_may_import():
    contracts = tomllib.loads((ROOT / 'pyproject.toml').read_text())['tool']['importlinter']['contracts']
    floors = [floor.replace('denseformer.', '').split(' | ') for floor in reversed(contracts[0]['layers'])]
    height = {room: number for number, floor in enumerate(floors) for room in floor}
    table = (ROOT / 'docs/architecture.md').read_text().partition('## The rooms')[2].partition('\n## ')[0]
    cells = re.findall(r'^\| (`.*?) \|', table, re.MULTILINE)
    rooms = [name.removesuffix('.py').rstrip('/') for cell in cells for name in re.findall(r'`(.*?)`', cell)]
    assert {*rooms} == {*height}
    assert [height[room] for room in rooms] == sorted(height.values())


def test_a_commit_is_checked_as_make_lint_does():
    (repository,) = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos']
    hooks = {tuple(hook['entry'].replace('.venv/bin/', '').split()[:2]) for hook in repository['hooks']}
    recipe = MAKEFILE.partition('\nlint:')[2].partition('\n\n')[0].replace('$(MKDOCS)', '$(BIN)/mkdocs build')
    linted = {tuple(line.split()[:2]) for line in re.findall(r'\$\(BIN\)/(.*)', recipe)}
    assert hooks == linted


def test_continuous_integration_runs_lint_and_tests():
    assert (ROOT / '.ci/run').read_text().splitlines()[-1] == 'exec make lint test'
    assert (ROOT / '.ci/run').stat().st_mode & 0o111


def test_the_citation_and_the_changes_are_those_of_this_project():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert {'cff-version', 'message', 'title', 'authors'} <= set(citation)
    assert citation['license'] == PROJECT['license']
    sections = re.findall(r'^## (\S+)', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE)
    assert sections[0] in ('Unreleased', __version__)


def test_docstrings_begin_with_the_thing_or_a_verb():
    dangling = re.compile(r'"""(?:What|Of|Those of|That of|The same|Which) .*')
    files = (
        path
        for folder in ('denseformer', 'tools', 'benchmarks', 'tests/support')
        for path in (ROOT / folder).rglob('*.py')
    )
    assert [f'{path.name}: {line}' for path in files for line in dangling.findall(path.read_text())] == []


@pytest.mark.parametrize('page', ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'tests/README.md', 'data/README.md'])
def test_links_of_a_page_lead_to_files(page):
    links = re.findall(r'\]\((?![a-z]+:)([^)#\s]+)', (ROOT / page).read_text())
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []
