"""report.html, one self-contained page about a run: gallery, classes, timing, failures."""

import base64
import hashlib
import html
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from denseformer.inference.record import Record
from denseformer.inference.results import Result

FOLDER = '.report'
WIDTH = 560
SHOWN = 120
"""The most images in the gallery, of 40 kB each."""
FAILURES_SHOWN = 1000
"""The most failures that are listed; the record has all."""


def keep_thumbnails(result: Result, file: Callable[[Path, Callable[[Path], Any]], None], name: PurePosixPath) -> None:
    """Write small pictures of the image `name` before and after, from which a report is made at the end of the run.

    file: writes a file of the run by a function that is given its path.
    """
    before, after = result.input_image(), result.output_image()
    size = thumbnail_size(after.size)
    for kind, picture in (('before', before), ('after', after)):
        small = picture.convert('RGB').resize(size, Image.Resampling.BICUBIC)
        file(thumbnail(Path(), str(name), kind), partial(small.save, format='JPEG', quality=82))


def thumbnail_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size of a thumbnail of an image, (width, height)."""
    factor = WIDTH / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def thumbnail(root: Path, name: str, kind: str) -> Path:
    """The file of a thumbnail; kind: before or after."""
    return root / FOLDER / f'{hashlib.sha256(name.encode()).hexdigest()[:24]}.{kind}.jpg'


@dataclass
class Digest:
    """The figures of a report about all images, gathered one by one.

    failed: the first `FAILURES_SHOWN` files that failed, with their reasons; classes: of each, in how many images it
    is, and the sum of its shares; times: milliseconds of each image.
    """

    good: int = 0
    bad: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    classes: dict[str, tuple[int, float]] = field(default_factory=dict)
    times: array = field(default_factory=lambda: array('f'))

    def add(self, entry: Mapping[str, Any]) -> None:
        if entry['status'] == 'failed':
            self.bad += 1
            if self.bad <= FAILURES_SHOWN:
                self.failed.append((entry['file'], entry['error']))
            return
        self.good += 1
        for name, share in (entry.get('classes') or {}).items():
            images, total = self.classes.get(name, (0, 0.0))
            self.classes[name] = images + 1, total + share
        if 'ms' in entry:
            self.times.append(entry['ms'])


def write_report(path: Path, root: Path, record: Record, summary: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write the page about a run's folder `root`; `facts` may hold the `classes` and their `palette`."""
    colors = dict(zip(facts.get('classes') or (), facts.get('palette') or (), strict=True))
    digest = Digest()
    for entry in record:
        digest.add(entry)
    with path.open('w', encoding='utf-8') as file:
        file.write(HEAD)
        file.writelines(headline(summary, digest))
        file.writelines(failure_table(digest))
        file.writelines(class_table(digest, colors))
        file.writelines(timing(digest.times))
        file.writelines(gallery(root, record))
        file.write(FOOT)


def headline(summary: Mapping[str, Any], digest: Digest) -> Iterator[str]:
    """The heading and the figures of the run."""
    figures = {
        'predicted': digest.good,
        'failed': digest.bad,
        'images/s in the last run': summary['images per second'],
    }
    yield f'<h1>Prediction</h1><p class="path">{html.escape(str(summary["out"]))}</p><div class="figures">'
    for name, value in figures.items():
        mark = ' class="bad"' if name == 'failed' and value else ''
        yield f'<div{mark}><b>{value}</b><span>{name}</span></div>'
    yield '</div>'
    if summary['interrupted']:
        yield '<p class="bad">The run was interrupted; --resume continues it.</p>'


def failure_table(digest: Digest) -> Iterator[str]:
    """Files that failed, with the reason."""
    if digest.failed:
        yield '<section id="failures"><h2>Failures</h2><table><tr><th>file</th><th>reason</th></tr>'
        for name, error in digest.failed:
            yield f'<tr><td>{html.escape(name)}</td><td>{html.escape(error)}</td></tr>'
        yield '</table>'
        if digest.bad > len(digest.failed):
            yield f'<p>{len(digest.failed)} of {digest.bad}; results.jsonl has all.</p>'
        yield '</section>'


def class_table(digest: Digest, colors: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """Each class that occurs: in how many images, and its share of the pixels, the mean over all images."""
    if not digest.classes:
        return
    yield '<section id="classes"><h2>Classes</h2><table><tr><th>class</th><th>images</th><th>mean share</th></tr>'
    for name, (images, total) in sorted(digest.classes.items(), key=lambda pair: -pair[1][1]):
        share = 100 * total / digest.good
        color = 'rgb({}, {}, {})'.format(*colors.get(name, (120, 120, 120)))
        bar = f'<i class="bar" style="width:{share:.1f}%;background:{color}"></i>'
        square = f'<i class="square" style="background:{color}"></i>'
        yield (
            f'<tr><td>{square}{html.escape(name)}</td><td>{images}</td>'
            f'<td class="wide">{bar}<span>{share:.1f} %</span></td></tr>'
        )
    yield '</table></section>'


def timing(milliseconds: array, bins: int = 24) -> Iterator[str]:
    """A histogram of the milliseconds per image."""
    if not milliseconds:
        return
    times = np.frombuffer(milliseconds, np.float32)
    counts, _ = np.histogram(times, bins)
    bars = ''.join(
        f'<rect x="{20 * i}" y="{100 - 100 * n / max(counts):.1f}" width="18" height="{100 * n / max(counts):.1f}"/>'
        for i, n in enumerate(counts)
    )
    yield (
        f'<section id="timing"><h2>Time in the network</h2><p>median {np.median(times):.0f} ms per image, '
        f'fastest {times.min():.0f} ms, slowest {times.max():.0f} ms</p>'
        f'<svg viewBox="0 0 {20 * bins} 100" preserveAspectRatio="none">{bars}</svg>'
        f'<p class="axis"><span>{times.min():.0f} ms</span><span>{times.max():.0f} ms</span></p></section>'
    )


def gallery(root: Path, record: Record) -> Iterator[str]:
    """Images before and after, one over the other with a slider between; evenly picked where there are many."""
    count = sum(1 for _ in with_thumbnails(root, record))
    if not count:
        return
    wanted = set(range(count)) if count <= SHOWN else {i * count // SHOWN for i in range(SHOWN)}
    yield '<section id="gallery"><h2>Images</h2>'
    if len(wanted) < count:
        yield f'<p>{len(wanted)} of {count}.</p>'
    yield '<div class="gallery">'
    for number, entry in enumerate(with_thumbnails(root, record)):
        if number not in wanted:
            continue
        name = entry['file']
        before, after = (embedded(thumbnail(root, name, kind)) for kind in ('before', 'after'))
        caption = f'{entry["width"]} × {entry["height"]}, {entry["ms"]:.0f} ms'
        yield (
            f'<figure><div class="pair"><img src="{before}" alt="before"><img class="after" src="{after}" alt="after">'
            f'<input type="range" min="0" max="100" value="50" aria-label="before and after"></div>'
            f'<figcaption>{html.escape(name)}<span>{caption}</span></figcaption></figure>'
        )
    yield '</div></section>'


def with_thumbnails(root: Path, record: Record) -> Iterator[Mapping[str, Any]]:
    """The entries of the images that thumbnails were kept of."""
    return (entry for entry in record.predicted() if thumbnail(root, entry['file'], 'after').is_file())


def embedded(path: Path) -> str:
    """A JPEG file as a data URL."""
    return 'data:image/jpeg;base64,' + base64.b64encode(path.read_bytes()).decode()


HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Prediction</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #3b7dd8; --bad: #c8402f; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { margin: 0; } h2 { margin: 2.5rem 0 .6rem; font-size: 1.15rem; }
.path, .axis, figcaption span { color: #888; font-size: 13px; } .path { margin-top: 0; overflow-wrap: anywhere; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; }
.figures div { border: 1px solid var(--line); border-radius: 8px; padding: .5rem 1.1rem; }
.figures b { font-size: 1.5rem; margin-right: .5rem; } .bad { color: var(--bad); }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: anywhere; } .wide { width: 60%; }
.square { display: inline-block; width: .8em; height: .8em; margin-right: .5em; border-radius: 2px; }
.bar { display: inline-block; height: .7em; max-width: 80%; margin-right: .6em; border-radius: 2px; }
svg { width: 100%; height: 90px; fill: var(--accent); background: var(--soft); }
.axis { display: flex; justify-content: space-between; margin: 0; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 1.2rem; }
figure { margin: 0; } figcaption { display: flex; justify-content: space-between; gap: 1rem; overflow-wrap: anywhere; }
.pair { position: relative; line-height: 0; border-radius: 6px; overflow: hidden; --at: 50%; }
.pair img { width: 100%; display: block; }
.pair .after { position: absolute; inset: 0; clip-path: inset(0 0 0 var(--at)); }
.pair::after { content: ""; position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; margin-left: -1px;
  background: #fff; box-shadow: 0 0 3px #000; pointer-events: none; }
.pair input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize; }
.pair:focus-within { outline: 2px solid var(--accent); }
</style></head><body>
"""
FOOT = """<script>
for (const slider of document.querySelectorAll('.pair input')) {
  const move = () => slider.parentElement.style.setProperty('--at', slider.value + '%');
  slider.addEventListener('input', move);
  move();
}
</script></body></html>
"""
