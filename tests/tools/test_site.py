"""The site has every page, and links written for the repository lead to the site's pages."""

from types import SimpleNamespace

import pytest

pytest.importorskip('mkdocs', reason='mkdocs is not installed: pip install denseformer[docs]')

from tools.docs import site


class EveryFile:
    def get_file_from_path(self, path):
        return None if 'missing' in path else path


def rewritten(markdown: str, page: str) -> str:
    return site.on_page_markdown(markdown, SimpleNamespace(file=SimpleNamespace(src_uri=page)), None, EveryFile())


@pytest.mark.parametrize(
    ('page', 'link', 'leads_to'),
    [
        ('index.md', 'docs/zoo.md#swin', 'zoo.md#swin'),
        ('index.md', 'docs/images/demo.jpg', 'images/demo.jpg'),
        ('detection.md', '../data/README.md', 'data.md'),
        ('zoo.md', '../configs/upernet_dinat_ade20k.py', 'configs/upernet_dinat_ade20k.py'),
        ('performance.md', '../benchmarks/results/ops.md', 'benchmarks/results/ops.md'),
        ('contributing.md', 'tests/README.md', 'tests.md'),
        ('zoo.md', 'https://arxiv.org/abs/1', 'https://arxiv.org/abs/1'),
    ],
)
def test_a_link_leads_to_the_page_of_its_file(page, link, leads_to):
    assert rewritten(f'[text]({link})', page) == f'[text]({leads_to})'


def test_a_link_to_a_missing_file_is_a_warning_which_a_strict_build_refuses(caplog):
    rewritten('[text](missing.md)', 'detection.md')
    assert "no file 'docs/missing.md'" in caplog.text


def test_every_package_has_a_page_with_its_documented_modules():
    packages = site.packages()
    assert packages['denseformer.config'][0] == 'denseformer.config'
    assert 'denseformer.backbones.windows.swin' in packages['denseformer.backbones.windows']
    page = '\n'.join(site.reference('denseformer.config', packages['denseformer.config']))
    assert '\n::: denseformer.config.shipped' in page
