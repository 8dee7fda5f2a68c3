"""The pages of the documentation name commands, options, configs, files and components that there are."""

import argparse
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from denseformer.cli import build_parser

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / 'denseformer'
TOP = ('benchmarks', 'configs', 'denseformer', 'docker', 'docs', 'examples', 'tests', 'tools')
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in (
        'README.md',
        'CONTRIBUTING.md',
        'docs/*.md',
        '*/README.md',
        'denseformer/checkpoints/bundled/**/*.md',
    )
    for path in ROOT.glob(pattern)
)
BLOCK = re.compile(r'^ *```(\w*)\n(.*?)^ *```', re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r'(?<![\w./:-])denseformer(?= +[a-z])|\btools/(?=(?:train|test|infer|export)\.py )')
PROGRAM = re.compile(r'python -m ((?:benchmarks|tools)[\w.]*)(.*)')
PATH = re.compile(r'[\w.<>*{},-]+(?:/[\w.<>*{},-]+)+/?')
NAME = re.compile(r'(?<![\w./-])denseformer((?:\.[A-Za-z_]\w*)+)(?![\w/])')
IMPORT = re.compile(r'from denseformer([\w.]*) import ([\w, ]+)')
OF_OTHERS = {
    *('datasets/prepare_ade20k_pan_seg.py', 'datasets/prepare_ade20k_ins_seg.py'),
    *(f'tools/dataset_converters/{name}.py' for name in ('cityscapes', 'loveda', 'synapse')),
    'denseformer/_configs',
}
"""Files of other projects in folders that are called as some of ours, and the configs in a wheel."""

PARSER = build_parser()

pytestmark = pytest.mark.parametrize('page', PAGES)


@cache
def lines(page: str) -> list[str]:
    """Lines of the blocks of commands, continued ones joined, without comments."""
    blocks = BLOCK.findall((ROOT / page).read_text())
    code = ''.join(text for language, text in blocks if language != 'python').replace('\\\n', ' ')
    return [line.partition('  #')[0].strip() for line in code.splitlines()]


@cache
def snippets(page: str) -> list[str]:
    """These lines, and the code that stands in sentences."""
    text = BLOCK.sub('', (ROOT / page).read_text())
    return lines(page) + [' '.join(code.split()) for code in re.findall(r'`([^`]+)`', text)]


def commands(texts: Iterable[str]) -> Iterator[list[str]]:
    """The words behind `denseformer` of each command; options in brackets, which may be left out, are kept."""
    for text in texts:
        if found := COMMAND.search(text):
            words = re.sub(r'\[((?:--|[A-Z])[^\]]*)\]', r'\1', text[found.end() :].partition(' | ')[0])
            name, *rest = shlex.split(words)
            yield [name.removesuffix('.py'), *rest]


def parser_of(words: list[str]) -> argparse.ArgumentParser:
    """The parser of a command, or of a part of one such as `weights add`."""
    parser = PARSER
    for word in words:
        if not parser._subparsers:
            break
        kinds = parser._subparsers._group_actions[0].choices
        assert word in kinds, f"there is no command '{word}'"
        parser = kinds[word]
    return parser


def test_commands_and_their_options_exist(page):
    for words in commands(snippets(page)):
        given = {word.partition('=')[0] for word in words if word.startswith('--')}
        assert given <= {*parser_of(words)._option_string_actions}, f'denseformer {" ".join(words)}'


def test_whole_commands_are_understood(page, capsys):
    for words in commands(lines(page)):
        try:
            PARSER.parse_args(['1' if word == 'N' else word for word in words])
        except SystemExit:
            pytest.fail(f'denseformer {" ".join(words)}: {capsys.readouterr().err}')


def test_configs_that_commands_name_ship(page):
    for words in commands(snippets(page)):
        if words[0] in ('train', 'test', 'infer', 'export', 'doctor', 'browse') and len(words) > 1:
            name = words[1].removeprefix('configs/').removesuffix('.py')
            assert not re.fullmatch(r'[a-z0-9]+(_[a-z0-9]+)+', name) or (ROOT / f'configs/{name}.py').exists(), name


def test_programs_of_the_repository_and_their_options_exist(page):
    for module, arguments in (found.groups() for text in snippets(page) for found in PROGRAM.finditer(text)):
        path = ROOT / module.replace('.', '/')
        source = (path / '__main__.py' if path.is_dir() else path.with_suffix('.py')).read_text()
        missing = [name for name in re.findall(r'--([a-z][\w-]*)', arguments) if not re.search(rf'\b{name}\b', source)]
        assert not missing, f'{module} has no {missing}'


def test_targets_of_make_and_extras_exist(page):
    text = (ROOT / page).read_text()
    targets = re.findall(r'^([\w-]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
    assert {*re.findall(r'(?:^|`|&& )make ([a-z-]+)', text, re.MULTILINE)} <= {*targets}
    extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['optional-dependencies']
    assert {*re.findall(r'denseformer\[(\w+)\]', text)} <= {*extras}


def test_files_that_are_named_exist(page):
    words = {word.strip('"\'(),;:') for text in snippets(page) for word in text.split()} - OF_OTHERS
    paths = [path for word in words if is_ours(word) for path in alternatives(word)]
    assert [path for path in paths if not exists(path, page)] == []
    modules = {word for word in words if re.fullmatch(r'\w+\.py', word)}
    assert modules <= names_of_files()


def is_ours(path: str) -> bool:
    """Whether a word is a path from a folder of the repository, or to a file from one of the package or the configs."""
    first = path.partition('/')[0]
    in_a_room = first in folders() and path.endswith(('.py', '.json', '.toml'))
    return PATH.fullmatch(path) is not None and (first in TOP or in_a_room)


@cache
def folders() -> set[str]:
    return {path.name for root in ('denseformer', 'configs') for path in (ROOT / root).rglob('*') if path.is_dir()}


@cache
def names_of_files() -> set[str]:
    return {path.name for root in TOP for path in (ROOT / root).rglob('*.py')}


def alternatives(path: str) -> list[str]:
    """Patterns of a path with {a,b} and <placeholders>."""
    parts = re.split(r'\{([^}]*)\}', re.sub(r'<\w+>', '*', path))  # text and choices by turns
    return [
        ''.join(chosen) for chosen in product(*(part.split(',') if i % 2 else [part] for i, part in enumerate(parts)))
    ]


def exists(pattern: str, page: str) -> bool:
    """Whether there is such a file or folder, from the root, the page, or where the package or the bases begin."""
    places = (ROOT, (ROOT / page).parent, PACKAGE, PACKAGE / 'backbones', ROOT / 'configs', ROOT / 'configs/_base_')
    return any(any(place.glob(name)) for place in places for name in (pattern.rstrip('/'), f'{pattern}.py'))


def test_names_of_the_package_exist(page):
    text = (ROOT / page).read_text()
    imported = {f'{module}.{name.strip()}' for module, names in IMPORT.findall(text) for name in names.split(',')}
    named = {*NAME.findall(text)} - {'.X'}  # any name
    assert [name for name in imported | named if not is_name(name[1:])] == []


def is_name(dotted: str) -> bool:
    """Whether it is a module, a name in one, or a component, as `denseformer.Swin` in a config."""
    place, parts = PACKAGE, dotted.split('.')
    while parts and ((place / parts[0]).is_dir() or (place / f'{parts[0]}.py').exists()):
        place /= parts.pop(0)
    if not parts:
        return True
    files = (place / '__init__.py', place / 'components.py') if place.is_dir() else (place.with_suffix('.py'),)
    source = ''.join(file.read_text() for file in files if file.exists())
    return re.search(rf'\b{parts[0]}\b', source) is not None or (place == PACKAGE and parts[0] in components())


@cache
def components() -> set[str]:
    """Classes and functions that registries of the package hold."""
    pattern = re.compile(r'^@\w+\.register_module\(.*\)\n(?:class|def) (\w+)', re.MULTILINE)
    return {name for path in PACKAGE.rglob('*.py') for name in pattern.findall(path.read_text())}
