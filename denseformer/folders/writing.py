"""From what was recognised to files that the datasets read: lists, COCO json files, and a base that names them.

Images are never copied: paths are below the folder in which they were found.
"""

import hashlib
import json
import os
import pprint
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Any

from filelock import FileLock

from denseformer.checkpoints.download import cache_folder
from denseformer.datasets.restoration.image_folders import degraded_names, wild_names
from denseformer.folders.data_file import DataFile, read_data_file
from denseformer.folders.formats.videos import FRAMES, MASKS, flow_folder, frames_folder, video_name
from denseformer.folders.found import Found, Sample
from denseformer.folders.listing import FolderError, Listing
from denseformer.folders.recognizing import understand

BASE = 'data.py'
PARTS = 'denseformer::_base_/datasets/parts'
HERE = '{{ fileDirname }}'
"""mmengine's word for the folder of a config."""
MEASURED = 200
"""Images whose size is looked up."""


def dataset_base(file: str | Path) -> Path:
    """The base of a data file, written into the cache; written again when the file or its folder has changed."""
    described = read_data_file(file)
    folder = cache_folder() / 'datasets' / digest(Path(file), described)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f'{folder}.lock'):
        if not (folder / BASE).is_file():
            found, listing = understand(str(file))
            fresh = folder.with_suffix('.new')
            shutil.rmtree(fresh, ignore_errors=True)
            write_dataset(found, listing, fresh)
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
    return folder / BASE


def digest(file: Path, described: DataFile) -> str:
    """A hash of a data file and of the names, sizes and times of the files it is about."""
    state = hashlib.sha1(file.read_bytes() + str(described.path).encode(), usedforsecurity=False)
    for name in Listing(described.path).names:
        status = status_of(described.path / name)
        state.update(f'{name} {status.st_size} {status.st_mtime_ns}\n'.encode())
    return state.hexdigest()[:16]


def status_of(path: Path) -> os.stat_result:
    """The status of a file, or of the link itself where it leads to nothing."""
    try:
        return path.stat()
    except FileNotFoundError:
        return path.lstat()


def write_dataset(found: Found, listing: Listing, folder: Path) -> Path:
    """Write the base `data.py`, and the lists and json files that it names, into `folder`; returns its path.

    All paths lead from the base's own folder, except one: that of data outside the folder around it is absolute.
    """
    folder.mkdir(parents=True, exist_ok=True)
    head = f'# {listing.root.resolve().name}: {found.format}, {counts(found)}.'
    writer = {'segmentation': masks, 'panoptic': panoptic, 'instances': things, 'detection': things, 'video': videos}
    lines = writer.get(found.task, pictures)(found, listing, folder)
    path = folder / BASE
    path.write_text('\n'.join([head, *lines]) + '\n', encoding='utf-8')
    return path


def counts(found: Found) -> str:
    """'12 training, 3 validation images'."""
    names = {'train': 'training', 'val': 'validation', 'test': 'test'}
    numbers = [f'{len(found.of(split))} {name}' for split, name in names.items() if found.of(split)]
    return f'{", ".join(numbers)} images'


def splits(found: Found) -> list[str]:
    return [split for split in ('train', 'val', 'test') if found.of(split)]


def literal(name: str, value: Any) -> str:
    return f'{name} = {pprint.pformat(value, width=118 - len(name), compact=True, sort_dicts=False)}'


def data_root(listing: Listing, folder: Path) -> str:
    root, run = listing.root.resolve(), folder.resolve().parent
    inside = root.is_relative_to(run)
    return literal('data_root', f'{HERE}/../{root.relative_to(run).as_posix()}' if inside else str(root))


def image_size(found: Found, listing: Listing) -> tuple[int, int]:
    """The median of the long sides and of the short sides of the images."""
    step = -(-len(found.samples) // MEASURED)
    sizes = [sample.size or listing.size(sample.image) for sample in found.samples[::step]]
    return int(median(map(max, sizes))), int(median(map(min, sizes)))


def masks(found: Found, listing: Listing, folder: Path) -> list[str]:
    """A list of images and masks for each split."""
    for split in splits(found):
        rows = ('\t'.join((sample.image, *mask_fields(sample))) for sample in found.of(split))
        (folder / f'{split}.txt').write_text('\n'.join(rows) + '\n', encoding='utf-8')
    more = f', values={dict(found.values)}' if found.values else ''
    if found.colors:
        more = f', colors={[(*color, label) for color, label in found.colors.items()]}'
    palette = [literal('palette', list(found.palette))] if len(found.palette) == len(found.classes) else []
    info = "metainfo=dict(classes='${classes}'" + (", palette='${palette}')" if palette else ')')
    lines = [
        f"_base_ = '{PARTS}/segmentation.py'",
        data_root(listing, folder),
        literal('image_scale', image_size(found, listing)),
        literal('classes', found.classes),
        *palette,
        'num_classes = len(classes)',
        f"_dataset = dict(type='denseformer.MaskList', data_root='${{data_root}}', {info}{more})",
        *(
            f"{split}_dataloader = dict(dataset=dict(**_dataset, ann_file='{HERE}/{split}.txt'))"
            for split in ('train', 'val')
        ),
    ]
    if found.of('test'):
        lines.append(test_loader(f"**_dataset, ann_file='{HERE}/test.txt'"))
    return lines


def videos(found: Found, listing: Listing, folder: Path) -> list[str]:
    """A list of videos for each split."""
    for split in splits(found):
        names = dict.fromkeys(video_name(sample.image) for sample in found.of(split))
        (folder / f'{split}.txt').write_text('\n'.join(names) + '\n', encoding='utf-8')
    frames = frames_folder(found.samples[0].image)
    prefix = {'img_path': frames, 'seg_map_path': frames.replace(FRAMES, MASKS, 1)}
    flow = flow_folder(listing, frames)
    lines = [
        f"_base_ = '{PARTS}/videos.py'",
        data_root(listing, folder),
        literal('_folders', {**prefix, 'flow_path': flow} if flow else prefix),
        *(
            f"{split}_dataloader = dict(dataset=dict(data_prefix=_folders, ann_file='{HERE}/{split}.txt'))"
            for split in ('train', 'val')
        ),
    ]
    if found.of('test'):
        dataset = "type='denseformer.VideoObjects', data_root='${data_root}', data_prefix=_folders"
        lines.append(test_loader(f"{dataset}, ann_file='{HERE}/test.txt'"))
    return lines


def mask_fields(sample: Sample) -> Sequence[str]:
    if not sample.label_classes:
        return sample.labels
    return [f'{label}={path}' for label, path in zip(sample.label_classes, sample.labels, strict=True)]


def test_loader(dataset: str) -> str:
    return (
        "test_dataloader = dict(\n    _delete_=True, batch_size=1, num_workers='${num_workers}',\n"
        "    persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),\n"
        f"    dataset=dict({dataset}, pipeline='${{test_pipeline}}', test_mode=True),\n)"
    )


def things(found: Found, listing: Listing, folder: Path) -> list[str]:
    """A COCO json file for each split."""
    categories = [{'id': i, 'name': name} for i, name in enumerate(found.classes, 1)]
    numbers = {row['name']: row['id'] for row in categories}
    for split in splits(found):
        images: list[dict] = []
        annotations: list[dict] = []
        for number, sample in enumerate(found.of(split), 1):
            images.append(image_row(number, sample, listing))
            for thing in sample.things:
                row = {'id': len(annotations) + 1, 'image_id': number, 'category_id': numbers[thing.name]}
                row |= {'bbox': list(thing.box), 'area': thing.box[2] * thing.box[3], 'iscrowd': int(thing.crowd)}
                row |= {'ignore': 1} if thing.ignored else {}
                if thing.outline:
                    row |= {'segmentation': thing.outline}
                    del row['area']  # the dataset computes that of outlines
                annotations.append(row)
        write_json(folder / f'{split}.json', images, annotations, categories)
    part = 'instances' if found.task == 'instances' else 'boxes'
    lines = [
        f"_base_ = '{PARTS}/{part}.py'",
        data_root(listing, folder),
        literal('image_scale', image_size(found, listing)),
        literal('classes', found.classes),
        'num_classes = len(classes)',
        '_dataset = dict(',
        "    type='denseformer.CocoDataset', data_root='${data_root}', data_prefix=dict(img=''),",
        "    metainfo=dict(classes='${classes}'),",
        ')',
        *(
            f"{split}_dataloader = dict(dataset=dict(**_dataset, ann_file='{HERE}/{split}.json'))"
            for split in ('train', 'val')
        ),
    ]
    if found.of('test'):
        lines.append(test_loader(f"**_dataset, ann_file='{HERE}/test.json'"))
        metric = "type='denseformer.CocoMetric', data_root='${data_root}', metric='${scored}'"
        lines.append(f"test_evaluator = dict(_delete_=True, {metric}, ann_file='{HERE}/test.json')")
    return lines


def image_row(number: int, sample: Sample, listing: Listing) -> dict[str, Any]:
    width, height = sample.size or listing.size(sample.image)
    return {'id': number, 'file_name': sample.image, 'width': width, 'height': height}


def write_json(path: Path, images: list, annotations: list, categories: list) -> None:
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    path.write_text(json.dumps(content, separators=(',', ':')), encoding='utf-8')


def panoptic(found: Found, listing: Listing, folder: Path) -> list[str]:
    """A COCO panoptic json file for each split; the maps stay where they are."""
    stuff = set(found.stuff)
    categories = [{'id': i, 'name': name, 'isthing': int(name not in stuff)} for i, name in enumerate(found.classes, 1)]
    numbers = {row['name']: row['id'] for row in categories}
    for split in splits(found):
        images = [image_row(number, sample, listing) for number, sample in enumerate(found.of(split), 1)]
        annotations = [
            {
                'image_id': number,
                'file_name': sample.labels[0],
                'segments_info': [
                    {key: value for key, value in part.items() if key != 'category'}
                    | {'category_id': numbers[part['category']]}
                    for part in sample.segments
                ],
            }
            for number, sample in enumerate(found.of(split), 1)
        ]
        write_json(folder / f'{split}.json', images, annotations, categories)
    things_of = tuple(name for name in found.classes if name not in stuff)
    return [
        f"_base_ = '{PARTS}/panoptic.py'",
        data_root(listing, folder),
        literal('image_scale', image_size(found, listing)),
        literal('classes', found.classes),
        literal('palette', distinct_colors(len(found.classes))),
        f'num_classes, num_stuff = len(classes), {len(found.stuff)}',
        literal('thing_classes', things_of),
        literal('stuff_classes', found.stuff),
        '_dataset = dict(',
        "    type='denseformer.CocoPanopticDataset', data_root='${data_root}', data_prefix=dict(img='', seg=''),",
        '    metainfo=dict(',
        "        classes='${classes}', palette='${palette}',",
        "        thing_classes='${thing_classes}', stuff_classes='${stuff_classes}',",
        '    ),',
        ')',
        *(
            f"{split}_dataloader = dict(dataset=dict(**_dataset, ann_file='{HERE}/{split}.json'))"
            for split in ('train', 'val')
        ),
    ]


def distinct_colors(count: int) -> list[tuple[int, int, int]]:
    """Colors that differ, the bits of an index dealt out to red, green and blue, the highest first, as Pascal VOC's."""
    colors = []
    for index in range(1, count + 1):
        parts = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                parts[channel] |= (index >> 3 * bit + channel & 1) << 7 - bit
        colors.append((parts[0], parts[1], parts[2]))
    return colors


def pictures(found: Found, listing: Listing, folder: Path) -> list[str]:
    """Folders of targets and of degraded images; where splits share a folder, the names of those that count."""
    same_size = found.task == 'restoration'
    lines = [
        f"_base_ = '{PARTS}/{'pairs' if same_size else 'super_resolution'}.py'",
        data_root(listing, folder),
        *([] if same_size else [f'scale = {found.scale}']),
    ]
    train, test = '', 'test_mode=True, '
    _, others = names_in_folder(found, listing, 'train')
    if others:
        lines.append(literal('held_out', others))
        train = "without='${held_out}', "
    own, others = names_in_folder(found, listing, 'val')
    if others:
        lines.append(literal('validated', own))
        test += "only='${validated}', "
    replaced = '_delete_=True, '  # of what the part has under this name
    lines += [
        image_dataset(
            'train_images', (replaced if same_size else '') + train, 'train_pipeline', prefix_of(found, 'train')
        ),
        image_dataset('test_images', replaced + test, 'test_pipeline', prefix_of(found, 'val')),
    ]
    return lines


def names_in_folder(found: Found, listing: Listing, split: str) -> tuple[list[str], list[str]]:
    """The targets of a split, and the other images that lie below their folder, as `RestorationImages` names them."""
    targets = [sample.image for sample in found.of(split)]
    folder = common_folder(targets)
    below = [name for name in listing.images if not folder or name.startswith(f'{folder}/')]
    named = list(dict.fromkeys(relative_stem(name, folder) for name in targets))  # wild images share targets
    return named, sorted({relative_stem(name, folder) for name in below} - {*named})


def prefix_of(found: Found, split: str) -> dict[str, str]:
    """The folders of a split's targets and, in pairs, of its degraded images."""
    samples = found.of(split)
    prefix = {'gt_path': common_folder([sample.image for sample in samples])}
    if samples[0].labels:
        prefix['img_path'] = common_folder([sample.labels[0] for sample in samples])
        check_names(samples, prefix, found.scale)
    return prefix


def image_dataset(key: str, options: str, pipeline: str, prefix: dict[str, str]) -> str:
    return (
        f"{key} = dict(\n    {options}type='denseformer.RestorationImages', data_root='${{data_root}}',\n"
        f"    data_prefix={prefix}, scale='${{scale}}', pipeline='${{{pipeline}}}',\n)"
    )


def common_folder(names: Sequence[str]) -> str:
    """The folder in which all of these files are; '' for the root."""
    return os.path.commonpath([os.path.dirname(name) for name in names])


def relative_stem(name: str, folder: str) -> str:
    path = PurePosixPath(name).with_suffix('')
    return path.relative_to(folder).as_posix() if folder else path.as_posix()


def check_names(samples: Sequence[Sample], prefix: dict[str, str], scale: int) -> None:
    """Raise FolderError for a degraded image that does not lie in its folder as its target does in the other."""
    for sample in samples:
        target = relative_stem(sample.image, prefix['gt_path'])
        names = *degraded_names(target, scale), *wild_names(target, scale)
        if relative_stem(sample.labels[0], prefix['img_path']) not in names:
            raise FolderError(
                f"'{sample.labels[0]}' and its target '{sample.image}' lie in different sub-folders: arrange both alike"
            )
