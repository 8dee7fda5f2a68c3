"""report.html, one self-contained page about a run: gallery, classes, timing, failures."""

import base64
import hashlib
import html
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from denseformer.inference.results import Result

FOLDER = '.report'
WIDTH = 560
SHOWN = 120
"""The most images in the gallery, of 40 kB each."""
Entries = Mapping[str, Mapping[str, Any]]


def keep_thumbnails(result: Result, root: Path, name: PurePosixPath) -> None:
    """Write small pictures of the image `name` before and after, from which a report is made at the end of the run."""
    before, after = result.input_image(), result.output_image()
    size = thumbnail_size(after.size)
    for kind, picture in (('before', before), ('after', after)):
        path = thumbnail(root, str(name), kind)
        path.parent.mkdir(exist_ok=True)
        picture.convert('RGB').resize(size, Image.Resampling.BICUBIC).save(path, format='JPEG', quality=82)


def thumbnail_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size of a thumbnail of an image, (width, height)."""
    factor = WIDTH / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def thumbnail(root: Path, name: str, kind: str) -> Path:
    """The file of a thumbnail; kind: before or after."""
    return root / FOLDER / f'{hashlib.sha256(name.encode()).hexdigest()[:24]}.{kind}.jpg'


def write_report(path: Path, root: Path, entries: Entries, summary: Mapping[str, Any], task: Mapping[str, Any]) -> None:
    """Write the page about a run's folder `root`; `task` may hold the `classes` and their `palette`."""
    colors = dict(zip(task.get('classes') or (), task.get('palette') or (), strict=True))
    good = {name: entry for name, entry in entries.items() if entry['status'] == 'ok'}
    failed = {name: entry['error'] for name, entry in entries.items() if entry['status'] == 'failed'}
    with path.open('w', encoding='utf-8') as file:
        file.write(HEAD)
        file.writelines(headline(summary, good, failed))
        file.writelines(failure_table(failed))
        file.writelines(class_table(good, colors))
        file.writelines(timing(good))
        file.writelines(gallery(root, good))
        file.write(FOOT)


def headline(summary: Mapping[str, Any], good: Entries, failed: Mapping[str, str]) -> Iterator[str]:
    """The heading and the figures of the run."""
    figures = {'predicted': len(good), 'failed': len(failed), 'images/s in the last run': summary['images per second']}
    yield f'<h1>Prediction</h1><p class="path">{html.escape(str(summary["out"]))}</p><div class="figures">'
    for name, value in figures.items():
        mark = ' class="bad"' if name == 'failed' and value else ''
        yield f'<div{mark}><b>{value}</b><span>{name}</span></div>'
    yield '</div>'
    if summary['interrupted']:
        yield '<p class="bad">The run was interrupted; --resume continues it.</p>'


def failure_table(failed: Mapping[str, str]) -> Iterator[str]:
    """Each file that failed, with the reason."""
    if failed:
        yield '<section id="failures"><h2>Failures</h2><table><tr><th>file</th><th>reason</th></tr>'
        for name, error in failed.items():
            yield f'<tr><td>{html.escape(name)}</td><td>{html.escape(error)}</td></tr>'
        yield '</table></section>'


def class_table(good: Entries, colors: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """Each class that occurs: in how many images, and its share of the pixels, the mean over all images."""
    shares: dict[str, list[float]] = {}
    for entry in good.values():
        for name, share in (entry.get('classes') or {}).items():
            shares.setdefault(name, []).append(share)
    if not shares:
        return
    yield '<section id="classes"><h2>Classes</h2><table><tr><th>class</th><th>images</th><th>mean share</th></tr>'
    for name, found in sorted(shares.items(), key=lambda pair: -sum(pair[1])):
        share = 100 * sum(found) / len(good)
        color = 'rgb({}, {}, {})'.format(*colors.get(name, (120, 120, 120)))
        bar = f'<i class="bar" style="width:{share:.1f}%;background:{color}"></i>'
        square = f'<i class="square" style="background:{color}"></i>'
        yield (
            f'<tr><td>{square}{html.escape(name)}</td><td>{len(found)}</td>'
            f'<td class="wide">{bar}<span>{share:.1f} %</span></td></tr>'
        )
    yield '</table></section>'


def timing(good: Entries, bins: int = 24) -> Iterator[str]:
    """A histogram of the milliseconds per image."""
    times = sorted(entry['ms'] for entry in good.values() if 'ms' in entry)
    if not times:
        return
    step = (times[-1] - times[0]) / bins or 1
    counts = [0] * bins
    for ms in times:
        counts[min(bins - 1, int((ms - times[0]) / step))] += 1
    bars = ''.join(
        f'<rect x="{20 * i}" y="{100 - 100 * n / max(counts):.1f}" width="18" height="{100 * n / max(counts):.1f}"/>'
        for i, n in enumerate(counts)
    )
    yield (
        f'<section id="timing"><h2>Time in the network</h2><p>median {statistics.median(times):.0f} ms per image, '
        f'fastest {times[0]:.0f} ms, slowest {times[-1]:.0f} ms</p>'
        f'<svg viewBox="0 0 {20 * bins} 100" preserveAspectRatio="none">{bars}</svg>'
        f'<p class="axis"><span>{times[0]:.0f} ms</span><span>{times[-1]:.0f} ms</span></p></section>'
    )


def gallery(root: Path, good: Entries) -> Iterator[str]:
    """Images before and after, one over the other with a slider between; evenly picked where there are many."""
    names = [name for name in good if thumbnail(root, name, 'after').is_file()]
    shown = names if len(names) <= SHOWN else [names[i * len(names) // SHOWN] for i in range(SHOWN)]
    if not shown:
        return
    yield '<section id="gallery"><h2>Images</h2>'
    if len(shown) < len(names):
        yield f'<p>{len(shown)} of {len(names)}.</p>'
    yield '<div class="gallery">'
    for name in shown:
        before, after = (embedded(thumbnail(root, name, kind)) for kind in ('before', 'after'))
        entry = good[name]
        caption = f'{entry["width"]} × {entry["height"]}, {entry["ms"]:.0f} ms'
        yield (
            f'<figure><div class="pair"><img src="{before}" alt="before"><img class="after" src="{after}" alt="after">'
            f'<input type="range" min="0" max="100" value="50" aria-label="before and after"></div>'
            f'<figcaption>{html.escape(name)}<span>{caption}</span></figcaption></figure>'
        )
    yield '</div></section>'


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
.square { display: inline-tile; width: .8em; height: .8em; margin-right: .5em; border-radius: 2px; }
.bar { display: inline-tile; height: .7em; max-width: 80%; margin-right: .6em; border-radius: 2px; }
svg { width: 100%; height: 90px; fill: var(--accent); background: var(--soft); }
.axis { display: flex; justify-content: space-between; margin: 0; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 1.2rem; }
figure { margin: 0; } figcaption { display: flex; justify-content: space-between; gap: 1rem; overflow-wrap: anywhere; }
.pair { position: relative; line-height: 0; border-radius: 6px; overflow: hidden; --at: 50%; }
.pair img { width: 100%; display: tile; }
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
