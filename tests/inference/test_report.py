"""The report is one page that needs nothing else, and works in a browser."""

import re
import shutil
import subprocess

import pytest

from denseformer.inference import predict_folder
from denseformer.inference.report import thumbnail_size

BROWSER = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)


@pytest.fixture
def page(predictor, folder, tmp_path):
    (folder / 'a.jpg').rename(folder / '<b>&.jpg')
    predict_folder(predictor, folder, tmp_path / 'out', report=True)
    return tmp_path / 'out/report.html'


def test_everything_is_inside(page):
    text = page.read_text()
    links = re.findall(r'(?:src|href)="([^"]{0,40})', text) + re.findall(r'url\(([^)]*)\)', text)
    assert len(links) == 6
    assert all(link.startswith('data:image/jpeg;base64,') for link in links)


def test_names_are_shown_as_text(page):
    assert '<b>&.jpg' not in page.read_text()
    assert '&lt;b&gt;&amp;.jpg' in page.read_text()


def test_failures_are_listed_with_their_reason(page):
    failures = re.search(r'id="failures".*?</section>', page.read_text(), re.DOTALL)[0]
    assert 'zero.png' in failures
    assert 'is empty' in failures


def test_a_resumed_run_reports_on_all_images(predictor, folder, tmp_path):
    predict_folder(predictor, folder / 'b', tmp_path / 'out', report=True)
    (folder / 'b/new.png').write_bytes((folder / 'b/c.png').read_bytes())
    predict_folder(predictor, folder / 'b', tmp_path / 'out', resume=True, report=True)
    assert (tmp_path / 'out/report.html').read_text().count('<figure>') == 3


def test_thumbnails_keep_their_shape():
    assert thumbnail_size((2000, 1000)) == (560, 280)
    assert thumbnail_size((10_000, 1)) == (560, 1)


@pytest.mark.skipif(BROWSER is None, reason='needs a browser: chromium or google-chrome')
def test_the_slider_moves_in_a_browser(page, tmp_path):
    script = """<script>
    window.addEventListener('load', () => {
      const slider = document.querySelector('.pair input');
      slider.value = 20;
      slider.dispatchEvent(new Event('input'));
      const shown = [...document.images].every(image => image.naturalWidth > 0);
      document.title = shown ? 'all images shown' : 'an image is missing';
      document.body.dataset.clip = getComputedStyle(document.querySelector('.after')).clipPath;
    });
    </script></body>"""
    copy = tmp_path / 'moved.html'
    copy.write_text(page.read_text().replace('</body>', script))
    command = [BROWSER, '--headless', '--no-sandbox', '--disable-gpu', '--virtual-time-budget=5000', '--dump-dom']
    done = subprocess.run([*command, copy.as_uri()], capture_output=True, text=True, timeout=120)
    assert 'all images shown' in done.stdout
    assert 'data-clip="inset(0px 0px 0px 20%)"' in done.stdout
