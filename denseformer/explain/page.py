"""The page of `denseformer explain`: one file about a run, or about two of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from denseformer import pages
from denseformer.explain.analysis import Analysis, Suspect, analyze, as_json
from denseformer.explain.bootstrap import Comparison, changed_images, compare
from denseformer.explain.collect import FOLDER, records_of
from denseformer.explain.records import Records, same_images
from denseformer.explain.scores import calibration_error
from denseformer.inspection.outcomes import read_legend
from denseformer.options import LaunchOptions

SHOWN_IMAGES, SHOWN_SUSPECTS, SHOWN_CHANGES = 12, 48, 30
CROP = 170


def explain(
    run: str | Path, other: str | Path | None = None, *, out: str | Path | None = None, options: LaunchOptions
) -> Path:
    """Write the page about a run, compared with another one if given, and its numbers beside it as json.

    run, other: the folders of runs; out: an .html file, by default `explain.html` in the run's folder. The validation
    set is predicted with the best checkpoint unless records of it are there. Raises ValueError for folders that are no
    runs, and for two runs of other images.
    """
    run = Path(run)
    records = records_of(run, options)
    analysis = analyze(records)
    path = Path(out) if out else run / 'explain.html'
    numbers = as_json(records, analysis)
    body = [overview(records, analysis)]
    title = run.name
    if other is not None:
        second = records_of(Path(other), options)
        same_images(records, second)
        theirs = analyze(second)
        result = compare(analysis.statistic, theirs.statistic, len(records.images))
        numbers['comparison'] = {'run': str(other), 'score': theirs.score, **vars(result)}
        body.append(comparison(records, analysis, theirs, result, Path(other).name))
        title = f'{run.name}, against {Path(other).name}'
    body += parts(run / FOLDER, records, analysis)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(pages.page(title, body))
    path.with_suffix('.json').write_text(json.dumps(numbers, indent=1) + '\n')
    return path


def overview(records: Records, analysis: Analysis) -> str:
    values = {'task': records.task, analysis.name: analysis.score, 'images': len(records.images)}
    values |= {'checkpoint': records.checkpoint}
    if analysis.reliability is not None:
        values['calibration error'] = calibration_error(analysis.reliability)
    return pages.figures(values)


def comparison(records: Records, first: Analysis, second: Analysis, result: Comparison, name: str) -> str:
    """The difference of two runs, and the images that got worse and better."""
    worse, better = changed_images(first.per_image, second.per_image, first.least)
    head = ['image', 'before', 'after']
    tables = []
    for count, images in ((f'{len(worse)} images got worse', worse), (f'{len(better)} images got better', better)):
        rows = [[Path(records.files[i]).name, first.per_image[i], second.per_image[i]] for i in images[:SHOWN_CHANGES]]
        note = f'by at least {pages.number(first.least)} {first.unit}'
        tables.append(f'<h3>{count}</h3><p class="note">{note}, the most first</p>{pages.table(head, rows)}')
    said = f'<p><b>{result.sentence(first.name)}</b></p>'
    drawn = 'The same images drawn with replacement 2000 times for both.'
    return pages.section('comparison', f'{name} minus this run', said, f'<p class="note">{drawn}</p>', *tables)


def parts(folder: Path, records: Records, analysis: Analysis) -> Iterator[str]:
    """The sections about one run."""
    for i, (heading, (head, rows)) in enumerate(analysis.tables.items()):
        yield pages.section(f'table-{i}', heading, '<div class="wide">', pages.table(head, rows), '</div>')
    if analysis.reliability is not None:
        yield reliability(analysis.reliability)
    worst = list(worst_images(folder, records, analysis))
    if worst:
        yield pages.section('worst', 'The worst images', pages.legend(read_legend(folder)), *worst)
    if analysis.suspects:
        yield pages.section('labels', 'Suspected labels', *suspects(records, analysis.suspects))


def reliability(table: np.ndarray) -> str:
    """How often scores are right, beside how often they should be."""
    count, said, right = table[table[:, 0] > 0].T
    lines = {
        'share that is right': list(zip(said / count, right / count, strict=True)),
        'as it should be': [(0.0, 0.0), (1.0, 1.0)],
    }
    rows = [[float(s / n), float(r / n), int(n)] for n, s, r in zip(count, said, right, strict=True)]
    return pages.section(
        'reliability',
        'Reliability of the scores',
        f'<p>Expected calibration error {pages.number(calibration_error(table))}.</p><div class="curves">',
        pages.curves('share that is right, by score', lines),
        '</div>',
        pages.table(['mean score', 'share that is right', 'how many'], rows),
    )


def worst_images(folder: Path, records: Records, analysis: Analysis) -> Iterator[str]:
    shown = 0
    for index in np.argsort(analysis.per_image, kind='stable').tolist():
        files = sorted(folder.glob(f'worst_{index}_*.jpg'))
        if files and shown < SHOWN_IMAGES:
            shown += 1
            caption = f'{Path(records.files[index]).name}: {pages.number(analysis.per_image[index])} {analysis.unit}'
            pictures = (pages.image(file, file.stem.split('_', 3)[3]) for file in files)
            yield f'<p>{pages.text(caption)}</p><div class="images">{"".join(pictures)}</div>'


def suspects(records: Records, found: list[Suspect]) -> Iterator[str]:
    yield f'<p class="note">{len(found)} are listed in the json file, the most suspicious first.</p>'
    yield '<div class="images">'
    for suspect in found[:SHOWN_SUSPECTS]:
        file = records.files[suspect.image]
        words = ' -> '.join(word for word in (suspect.label, suspect.other) if word)
        caption = f'{Path(file).name}: {suspect.kind}{", " if words else ""}{words} ({pages.number(suspect.score)})'
        crop = crop_of(file, suspect.box)
        yield f'<p>{pages.text(caption)}</p>' if crop is None else pages.image(crop, caption)
    yield '</div>'


def crop_of(file: str, box: tuple[float, ...]) -> np.ndarray | None:
    """The surroundings of a box in an image file, (h, w, 3), with the box drawn; None where it cannot be read."""
    image = cv2.imread(file, cv2.IMREAD_COLOR_RGB)
    if image is None:
        return None
    left, top, right, bottom = (round(value) for value in box)
    reach = max(24, (right - left) // 2, (bottom - top) // 2)
    y, x = max(0, top - reach), max(0, left - reach)
    crop = image[y : bottom + reach, x : right + reach]
    factor = CROP / max(crop.shape[:2])
    size = tuple(max(1, round(side * factor)) for side in crop.shape[1::-1])
    crop = np.ascontiguousarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC))
    first, last = ((round((px - x) * factor), round((py - y) * factor)) for px, py in ((left, top), (right, bottom)))
    cv2.rectangle(crop, first, last, (255, 64, 0), 1)
    return crop
