"""The hook of mkdocs.yml: pages from outside docs/, links as they are written for the repository, the API reference.

A page's links lead to files of the repository, so that they work wherever its text is read. On the site they lead to
the page or the file that stands for that file; a link to a file that the site does not have fails a strict build.
"""

import ast
import logging
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PAGES = {
    'README.md': 'index.md',
    'CHANGELOG.md': 'changelog.md',
    'CONTRIBUTING.md': 'contributing.md',
    'benchmarks/README.md': 'benchmarks/index.md',
    'data/README.md': 'data.md',
    'tests/README.md': 'tests.md',
}
"""File of the repository -> page of the site, for those that do not keep their place."""
PLACED = ('benchmarks/results/*.md', 'configs/*.py', 'examples/*.py')
"""Files outside docs/ that keep their place on the site."""
LINK = re.compile(r'(?<=\]\()(?![a-z]+:)(?P<path>[^)#\s]+)')
LOG = logging.getLogger('mkdocs.hooks.site')


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the API's pages to the navigation."""
    config.nav.append({'API': [{package: api_page(package)} for package in packages()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and files that lie outside docs/, and a page for each package."""
    for source, place in outside().items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    for package, modules in packages().items():
        files.append(File.generated(config, api_page(package), content='\n'.join(reference(package, modules))))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the page's links to where their files are on the site."""
    here = page.file.src_uri
    source = next((path for path, place in outside().items() if place == here), f'docs/{here}')

    def lead(link: re.Match) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link['path']))
        place = outside().get(target, target.removeprefix('docs/'))
        if files.get_file_from_path(place) is None:
            LOG.warning("%s: the site has no file '%s'.", source, target)
        return posixpath.relpath(place, posixpath.dirname(here) or '.')

    return LINK.sub(lead, markdown)


def outside() -> dict[str, str]:
    """File of the repository -> its place on the site, for those outside docs/."""
    placed = (path.relative_to(ROOT).as_posix() for pattern in PLACED for path in sorted(ROOT.glob(pattern)))
    return PAGES | {path: path for path in placed}


def packages() -> dict[str, list[str]]:
    """Package -> its documented modules, itself first."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / 'denseformer').rglob('*.py')):
        inner = path.relative_to(ROOT).with_suffix('')
        if '_configs' in inner.parts or ast.get_docstring(ast.parse(path.read_text())) is None:
            continue
        is_package = inner.name == '__init__'
        module = '.'.join(inner.parent.parts if is_package else inner.parts)
        package = '.'.join(inner.parent.parts)
        found.setdefault(package, []).insert(0 if is_package else len(found.get(package, ())), module)
    return dict(sorted(found.items()))


def api_page(package: str) -> str:
    return f'api/{package}.md'


def reference(package: str, modules: list[str]) -> Iterator[str]:
    yield f'# {package}'
    for module in modules:
        yield from ('', f'::: {module}')
        if module == package:  # its members are on the pages of their modules
            yield from ('    options:', '      show_root_heading: false', '      members: false')
