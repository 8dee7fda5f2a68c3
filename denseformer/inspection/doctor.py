"""The dataset doctor: errors in a config's data, found before a run meets them in its third hour.

Every file is read by the config's own loading transforms, so that what the doctor accepts, training can read. Besides:
files outside their folder, the same image in two splits, or one that looks the same, images that are blurred, dark or
bright beside the others, labels whose shapes seem wrong, classes that never occur, and for COCO annotations the boxes
and polygons that datasets drop without a word.
"""

import hashlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry.utils import init_default_scope
from rich.console import Console
from rich.table import Table

from denseformer.config.audit import import_custom_modules
from denseformer.datasets.building import build_dataset, leaf_datasets
from denseformer.datasets.restoration.lmdb_store import read_file
from denseformer.images.similarity import Fingerprint, fingerprint, near_pairs
from denseformer.inspection.balance import proposals
from denseformer.inspection.coco_check import check_annotations, check_objects
from denseformer.inspection.geometry import count_specks, object_hints, strips_of
from denseformer.inspection.learnable import check_scorable, learning_fault, loading_steps
from denseformer.inspection.outliers import Look, gray_of, look, outliers

SHOWN = 10
WARNINGS = ('duplicate', 'near-duplicate', 'class', 'blur', 'exposure', 'label')

MAP_DOUBTS = (
    'specks or holes of at most 3 x 3 pixels within one label',
    'strips, one pixel wide, of a third label between two (was the map resized with interpolation, or stored as JPEG?)',
)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one file; `kind` is path, file or annotation, or of `WARNINGS`."""

    kind: str
    file: str
    message: str


@dataclass
class SplitReport:
    """The findings in one split; `proposals` for uneven classes are made for the training split."""

    samples: int
    examined: int = 0
    problems: list[Problem] = field(default_factory=list)
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    proposals: list[str] = field(default_factory=list)
    seconds_per_thousand: float = 0.0
    hashes: dict[str, str] = field(default_factory=dict, repr=False)
    prints: dict[str, Fingerprint] = field(default_factory=dict, repr=False)
    looks: dict[str, Look] = field(default_factory=dict, repr=False)
    maps: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)

    def as_dict(self) -> dict[str, Any]:
        content = asdict(replace(self, prints={}, looks={}))
        for name in ('hashes', 'prints', 'looks', 'maps'):
            del content[name]
        return content


def examine(config: Config, *, limit: int | None = None) -> dict[str, SplitReport]:
    """Read the config's splits ('train', 'val', 'test') and report on each; splits with the same data are read once.

    limit: look at so many samples of each split, evenly spaced, instead of all.
    """
    init_default_scope(config.get('default_scope') or 'mmengine')
    import_custom_modules(config)
    reports: dict[str, SplitReport] = {}
    seen: list[Any] = []
    for split in ('train', 'val', 'test'):
        dataset = (config.get(f'{split}_dataloader') or {}).get('dataset')
        if dataset is not None and dataset not in seen:
            seen.append(dataset)
            reports[split] = examine_split(dataset, limit)
    find_duplicates(reports)
    find_outliers(reports)
    if 'train' in reports:
        reports['train'].proposals = proposals(reports['train'].classes, reports['train'].examined)
    return reports


def examine_split(config: Mapping[str, Any], limit: int | None) -> SplitReport:
    """Report on all parts of a split's dataset, which may be repeated, concatenated or otherwise wrapped."""
    parts = [examine_dataset(part, limit) for _, part in leaf_datasets('', config)]
    report = parts[0]
    for other in parts[1:]:
        report.samples += other.samples
        report.examined += other.examined
        report.problems += other.problems
        report.hashes |= other.hashes
        report.prints |= other.prints
        report.looks |= other.looks
        report.maps |= other.maps
        report.seconds_per_thousand = max(report.seconds_per_thousand, other.seconds_per_thousand)
        for name, counts in other.classes.items():
            row = report.classes.setdefault(name, dict.fromkeys(counts, 0))
            row.update({key: row.get(key, 0) + count for key, count in counts.items()})
    report.problems += map_doubts(report.maps)
    unused = [name for name, row in report.classes.items() if not row['images']]
    if unused and report.examined == report.samples:
        report.problems.append(Problem('class', '', f'nothing in this split is of class {", ".join(unused)}'))
    return report


def examine_dataset(config: Mapping[str, Any], limit: int | None) -> SplitReport:
    try:
        loading = [step for step in config.get('pipeline') or () if is_loading(step)]
        dataset = build_dataset({**config, 'pipeline': loading})
    except ValueError as error:
        if not config.get('ann_file'):
            raise
        found = [Problem('annotation', str(config['ann_file']), str(error))]
        return SplitReport(samples=0, problems=[*found, *annotation_problems(config)])
    if len(dataset):
        dataset.pipeline = Compose(loading_steps(dataset))
    report = SplitReport(samples=len(dataset))
    amounts: Counter[int] = Counter()
    images: Counter[int] = Counter()
    counted = False
    began = time.perf_counter()
    for index in spread_indices(len(dataset), limit):
        info = dataset.get_data_info(index)
        report.examined += 1
        report.problems += outside(info, config.get('data_root'))
        report.problems += object_problems(info)
        labels = examine_sample(dataset, info, report)
        unit = 'pixels' if info.get('seg_map_path') else 'objects'
        if unit == 'objects' and labels is None:
            labels = np.array([row['bbox_label'] for row in info.get('instances', ()) if not row['ignore_flag']], int)
        if labels is not None:
            counted = True
            found, counts = np.unique(labels, return_counts=True)
            amounts.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
            images.update(found.tolist())
    report.seconds_per_thousand = round((time.perf_counter() - began) * 1000 / max(report.examined, 1), 2)
    if report.examined and counted:
        names = dataset.metainfo.get('classes') or ()
        report.classes = {name: {unit: amounts[i], 'images': images[i]} for i, name in enumerate(names)}
    report.problems += annotation_problems(config)
    fault = learning_fault(dataset, set(amounts))
    if fault:
        report.problems.append(Problem('annotation', str(config.get('ann_file') or config.get('data_root')), fault))
    return report


def is_loading(step: Mapping[str, Any]) -> bool:
    """Whether a transform reads files, as opposed to changing what was read."""
    name = step.get('type')
    return (name if isinstance(name, str) else getattr(name, '__name__', '')).rpartition('.')[2].startswith('Load')


def spread_indices(length: int, limit: int | None) -> Iterable[int]:
    """`limit` indices, evenly spaced, or all where there are fewer."""
    if limit is None or length <= limit:
        return range(length)
    return np.linspace(0, length - 1, limit).astype(int).tolist()


def examine_sample(dataset: Any, info: dict, report: SplitReport) -> np.ndarray | None:
    """Read one sample; note what is wrong and the image's hash, and return its label map if it has one."""
    path = str(info.get('img_path') or info.get('gt_path') or '')
    try:
        results = dataset.pipeline(info) or {}
        check_scorable(dataset, results)
        if path:
            report.hashes.setdefault(hashlib.sha1(read_file(path), usedforsecurity=False).hexdigest(), path)
            image = results.get('img' if info.get('img_path') else 'gt_img')
            if image is not None:
                gray = gray_of(image)
                report.prints[path], report.looks[path] = fingerprint(gray), look(gray)
        report.problems += object_doubts(dataset, results, path)
        if 'gt_seg_map' in results:
            report.maps[path] = count_specks(results['gt_seg_map']), strips_of(results['gt_seg_map'])
    except Exception as error:  # any reader may fail in its own way, and one file must not hide the others
        report.problems.append(Problem('file', path, f'{error}' or type(error).__name__))
        return None
    return results.get('gt_seg_map')


def object_doubts(dataset: Any, results: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Problems of an image's objects that show in their shapes."""
    if results.get('gt_masks') is not None and 'gt_bboxes' in results:
        counts, names = ~results['gt_ignore_flags'], dataset.metainfo['classes']
        boxes = np.asarray(results['gt_bboxes'].tensor)[counts]
        labels = [names[i] for i in results['gt_bboxes_labels'][counts]]
        for text in object_hints(results['gt_masks'].masks[counts], boxes, labels):
            yield Problem('label', path, text)


def map_doubts(maps: Mapping[str, tuple[int, int]]) -> Iterator[Problem]:
    """One line about the label maps of a split for each thing that many of them may have, under the worst of them."""
    for place, what in enumerate(MAP_DOUBTS):
        found = {path: counts[place] for path, counts in maps.items() if counts[place]}
        if found:
            worst = max(found, key=lambda path: found[path])
            yield Problem(
                'label', worst, f'{len(found)} of {len(maps)} label maps have {what}, this one {found[worst]}'
            )


def outside(info: Mapping[str, Any], root: str | None) -> Iterator[Problem]:
    """Files that a name with '..', an absolute path or a link puts outside the dataset's folder."""
    if not root:
        return
    folder = Path(root).resolve()
    for key in ('img_path', 'seg_map_path', 'gt_path', 'lq_path'):
        path = info.get(key)
        if isinstance(path, str) and '://' not in path and not Path(path).resolve().is_relative_to(folder):
            yield Problem('path', path, f'{key} leads outside {root}; list only files below data_root')


def annotation_problems(config: Mapping[str, Any]) -> Iterator[Problem]:
    ann_file = config.get('ann_file')
    if not ann_file or not str(ann_file).endswith('.json'):
        return
    root = Path(config.get('data_root') or '')
    images = root / ((config.get('data_prefix') or {}).get('img') or '')
    for text in check_annotations(root / ann_file, images):
        yield Problem('annotation', str(root / ann_file), text)


def object_problems(info: Mapping[str, Any]) -> Iterator[Problem]:
    if 'xml_path' in info:
        for text in check_objects(info['xml_path'], info['width'], info['height']):
            yield Problem('annotation', info['xml_path'], text)


def find_duplicates(reports: Mapping[str, SplitReport]) -> None:
    """Note images of one split that stand in an earlier one, byte by byte or nearly so."""
    where: dict[str, tuple[str, str]] = {}
    for split, report in reports.items():
        for digest, path in report.hashes.items():
            first = where.setdefault(digest, (split, path))
            if first[0] != split:
                report.problems.append(Problem('duplicate', path, f'is the same image as {first[1]} of {first[0]}'))
    same = {problem.file for report in reports.values() for problem in report.problems if problem.kind == 'duplicate'}
    splits = {path: split for split, report in reports.items() for path in report.prints}
    prints = {path: mark for report in reports.values() for path, mark in report.prints.items()}
    for first_path, path in near_pairs(prints):
        split = splits[path]
        if splits[first_path] != split and path not in same:
            same.add(path)
            text = f'looks like {first_path} of {splits[first_path]}'
            reports[split].problems.append(Problem('near-duplicate', path, text))


def find_outliers(reports: Mapping[str, SplitReport]) -> None:
    """Note images that look unlike the others of all splits."""
    splits = {path: split for split, report in reports.items() for path in report.looks}
    looks = {path: each for report in reports.values() for path, each in report.looks.items()}
    for path, kind, text in outliers(looks):
        reports[splits[path]].problems.append(Problem(kind, path, text))


def count_errors(reports: Mapping[str, SplitReport]) -> int:
    """Problems that break a run or spoil it; those of a kind in `WARNINGS` are worth a look."""
    return sum(problem.kind not in WARNINGS for report in reports.values() for problem in report.problems)


def write_reports(reports: Mapping[str, SplitReport], path: str | Path) -> None:
    """Write all that was found as json: {split: {samples, examined, problems, classes, proposals ...}}."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    content = {split: report.as_dict() for split, report in reports.items()}
    Path(path).write_text(json.dumps(content, indent=2, default=str) + '\n')


def print_reports(reports: Mapping[str, SplitReport]) -> None:
    console = Console()
    table = Table('split', 'samples', 'examined', 'errors', 'warnings', 's per 1000')
    for split, report in reports.items():
        warnings = sum(problem.kind in WARNINGS for problem in report.problems)
        numbers = report.samples, report.examined, len(report.problems) - warnings, warnings
        table.add_row(split, *map(str, numbers), f'{report.seconds_per_thousand:.1f}')
    console.print(table)
    for split, report in reports.items():
        print_problems(console, split, report)
    names = dict.fromkeys(name for report in reports.values() for name in report.classes)
    if names:
        console.print(class_table(reports, names))
    for text in [text for report in reports.values() for text in report.proposals]:
        console.print(text, markup=False, soft_wrap=True)


def print_problems(console: Console, split: str, report: SplitReport) -> None:
    kinds = defaultdict(list)
    for problem in report.problems:
        kinds[problem.kind].append(problem)
    for kind, problems in kinds.items():
        console.print(f'{split}: {len(problems)} of kind {kind}', style='bold', markup=False)
        for problem in problems[:SHOWN]:
            console.print(f'  {problem.file}: {problem.message}'.replace('  : ', '  '), markup=False, soft_wrap=True)
        if len(problems) > SHOWN:
            console.print(f'  ... and {len(problems) - SHOWN} more; --json lists all')


def class_table(reports: Mapping[str, SplitReport], names: Iterable[str]) -> Table:
    """The amount of each class, and its images, split by split; pixels as shares of those with a label."""
    units = {split: next(iter(next(iter(report.classes.values()), {'': 0}))) for split, report in reports.items()}
    table = Table('class', *(f'{split} {what}' for split in reports for what in (units[split], 'images')))
    for name in names:
        cells = []
        for split, report in reports.items():
            row, unit = report.classes.get(name, {}), units[split]
            amount = row.get(unit, 0)
            total = sum(other.get(unit, 0) for other in report.classes.values())
            share = f'{100 * amount / max(total, 1):.2f} %'
            cells += [share if unit == 'pixels' else str(amount), str(row.get('images', 0))]
        table.add_row(name, *cells)
    return table
