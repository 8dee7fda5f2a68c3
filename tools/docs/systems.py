"""Small versions of the published systems, overfitted to eight images: what docs/systems.md shows of each.

`python -m tools.docs.systems docs/images` trains them on the CPU, in minutes, and draws what they predict then, by the
drawing of `denseformer infer`. Networks are narrow; heads, losses and metrics are those of the recipes. The images are
eight, with two things of the sample set on its grounds, and for moving objects two videos of such a thing.
"""

import argparse
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from PIL import Image
from torch import nn

from denseformer.config.loading import load_config
from denseformer.datasets.building import build_dataset
from denseformer.datasets.sample import CLASSES, PALETTE, STUFF_CLASSES, THING_CLASSES, Scene
from denseformer.datasets.sample.scene import Canvas, develop, place_outline
from denseformer.datasets.sample.shapes import OUTLINES
from denseformer.datasets.sample.store import write_image, write_split
from denseformer.detection.instances import Instances, encoded
from denseformer.inference import Predictor
from denseformer.inference.results import Result, SegmentationResult
from denseformer.inspection.browse import arrange

BASES = Path(__file__).parents[2] / 'configs/_base_'
IMAGES, SIDE = 8, 64
ATTRIBUTES, BRIGHT = ('red', 'green', 'blue', 'bright'), 105
"""Looks of things: the strongest of their colors, and whether they are as bright as this at the mean."""
SHOWN, SQUARE = (0, 5), 3


class Task(NamedTuple):
    """A task that the systems learn.

    data: the dataset's base; options: of the config, by dotted key; score, wanted: the metric, and what it must reach.
    """

    data: str
    options: Mapping[str, Any]
    score: str
    wanted: float


def reading(**dataset: Any) -> dict[str, Any]:
    """Options that let a config read what `draw_data` draws, where its base would draw the sample set."""
    return {f'val_dataloader.dataset.{key}': value for key, value in dataset.items()}


_things, _all = ({'classes': CLASSES[:n], 'palette': PALETTE[:n]} for n in (len(THING_CLASSES), len(CLASSES)))
_instances = reading(type='denseformer.CocoDataset', metainfo=_things)
_stuff = dict(_all, thing_classes=THING_CLASSES, stuff_classes=STUFF_CLASSES)
LABELS = Task(
    'datasets/sample',
    reading(type='BaseSegDataset', img_suffix='.jpg', seg_map_suffix='.png', metainfo=_all),
    'mIoU',
    85,  # the map of a head has one pixel for 4 x 4 or 8 x 8 of an image
)
BOXES = Task('datasets/sample_instance', {**_instances, 'with_mask': False, 'scored': ['bbox']}, 'bbox_mAP_50', 0.9)
MASKS = Task('datasets/sample_instance', _instances, 'segm_mAP_50', 0.9)
DESCRIBED = Task(
    'datasets/fashionpedia',
    {
        **reading(
            type='denseformer.AttributeDataset',
            ann_file='instances_validation.json',
            data_prefix={'img': 'images/validation'},
            metainfo=dict(_things, attributes=ATTRIBUTES),
        ),
        'num_classes': len(THING_CLASSES),
        'num_attributes': len(ATTRIBUTES),
        'val_evaluator.described': None,
    },
    'segm_mAP_f1',
    0.65,  # masks alone reach 0.73; it takes three things with a wrong attribute to fall below
)
SEGMENTS = Task(
    'datasets/sample_panoptic', reading(type='denseformer.CocoPanopticDataset', metainfo=_stuff), 'PQ', 0.75
)
MOVING = Task('datasets/davis', {}, 'J&F', 90)


class System(NamedTuple):
    """A small version of a system, and how it is trained.

    bases: of its config, below configs/_base_; options: of the config, by dotted key; rate: the peak of the learning
    rate; steps: how many are taken, each with all images; slow: whether the test leaves it to DENSEFORMER_SLOW=1.
    """

    task: Task
    bases: Sequence[str]
    options: Mapping[str, Any]
    rate: float = 3e-3
    steps: int = 100
    slow: bool = False


PYRAMID = {'backbone.arch': dict(width=32, depths=(1, 1, 1, 1))}
CONVNEXT = 'backbones/convnext'
ONE_STAGE = {
    **PYRAMID,
    'model.neck.out_channels': 32,
    'model.bbox_head.in_channels': 32,
    'model.bbox_head.feat_channels': 32,
    'model.bbox_head.stacked_convs': 1,
    'model.bbox_head.norm_cfg': dict(type='GN', num_groups=8),
    'model.bbox_head.anchor_generator.octave_base_scale': 3,
}
KMAX = {
    **PYRAMID,
    'head': dict(
        **dict(num_queries=8, width=32, widths=(16, 16, 16, 16), drop_path_rate=0.0),
        **dict(depths=(1, 1, 1, 1), layers=(1, 1, 1)),
    ),
}
TWO_STAGES = {
    **PYRAMID,
    'pyramid': 32,
    'anchor_scale': 4,
    'model.roi_head.mask_head.num_convs': 1,
    **{f'model.roi_head.bbox_head.{i}.fc_out_channels': 64 for i in range(3)},
    **{f'model.train_cfg.rcnn.{i}.sampler.num': 16 for i in range(3)},
    'model.train_cfg.rpn_proposal.nms_pre': 64,
    'model.train_cfg.rpn_proposal.max_per_img': 32,
    'model.test_cfg.rpn.nms_pre': 64,
    'model.test_cfg.rpn.max_per_img': 32,
}
GIT = {
    'backbone.arch': dict(width=64, blocks=4, heads=2, global_blocks=(1,), window=8),
    'backbone.patch_size': 4,
    'backbone.image_size': SIDE,
    'window': 32,
}

SYSTEMS = {
    'BEVANet': System(
        LABELS,
        ['systems/bevanet'],
        {
            'backbone.arch': dict(
                **dict(width=16, depths=(1, 2, 2, 1, 1), pooling_width=8, mlp_ratio=2),
                **dict(semantic_kernels=(0, 7, 11), detail_kernels=(0, 7)),
            ),
            'joined_channels': 64,
            'head_channels': 32,
        },
        rate=6e-3,
        steps=150,
    ),
    'P2AT': System(
        LABELS,
        [CONVNEXT, 'systems/p2at'],
        {**PYRAMID, 'model.decode_head.channels': 32},
        rate=5e-3,
        steps=250,
    ),
    'UNetFormer': System(
        LABELS,
        [CONVNEXT, 'systems/unetformer'],
        {**PYRAMID, 'model.decode_head.channels': 32},
        rate=1e-2,
        steps=200,
    ),
    'HBFormer': System(
        LABELS,
        ['systems/hbformer'],
        {
            'backbone.arch': dict(width=16, depths=(1, 1, 1, 1), heads=(1, 2, 4, 8)),
            'channels': (16, 32, 64, 128),
            'model.decode_head.channels': 16,
        },
        rate=6e-3,
        steps=120,
    ),
    'ParaTransCNN': System(
        LABELS,
        ['systems/paratranscnn'],
        {
            'backbone': dict(width=16, depths=(1, 1, 1), heads=2, conv_width=8, dropout=0.0),
            'channels': (32, 64, 128),
            'model.decode_head.channels': 16,
        },
        rate=1e-2,
        steps=120,
    ),
    'GiT, label maps': System(
        LABELS,
        ['backbones/git_nano', 'systems/git_semantic'],
        {**GIT, 'grid': (16, 16), 'sampled': 128, 'model.decode_head.pixel': 2},
        rate=4e-3,
        steps=240,
        slow=True,
    ),
    'Polarized self-attention': System(
        LABELS,
        ['backbones/parts/hrnet', 'systems/ocrnet'],
        {
            'backbone.width': 8,
            'backbone.init_cfg': None,
            'backbone.plugin': dict(type='denseformer.PolarizedSelfAttention', mode='parallel'),
            'channels': (8, 16, 32, 64),
            'region_channels': 120,
            'head_channels': 32,
            'object_channels': 32,
        },
        rate=6e-3,
        steps=80,
        slow=True,
    ),
    'Att-SwinU-Net': System(
        LABELS,
        [CONVNEXT, 'systems/attswinunet'],
        {
            **PYRAMID,
            'model.decode_head.depths': (1, 1, 1),
            'model.decode_head.heads': (1, 2, 4),
            'model.decode_head.drop_path_rate': 0.0,
        },
        rate=6e-3,
        steps=120,
    ),
    'FaceXFormer': System(
        LABELS,
        [CONVNEXT, 'systems/facexformer'],
        {
            **PYRAMID,
            'facts': {'_delete_': True},
            'model.decode_head.channels': 64,
            'model.decode_head.heads': 4,
            'model.decode_head.hidden': 64,
        },
        steps=150,
    ),
    'kMaX-DeepLab': System(SEGMENTS, [CONVNEXT, 'systems/kmax'], {**KMAX, 'canvas': SIDE}, rate=1e-2, steps=200),
    'kMaX-DeepLab, instances': System(
        MASKS, [CONVNEXT, 'systems/kmax_instance'], {**KMAX, 'canvas': SIDE}, rate=1e-2, steps=60
    ),
    'kMaX-DeepLab, label maps': System(
        LABELS._replace(wanted=80),  # one pixel of 16 teaches
        [CONVNEXT, 'systems/kmax_semantic'],
        KMAX,
        rate=1e-2,
        steps=80,
    ),
    'RCNet': System(BOXES, [CONVNEXT, 'systems/rcnet'], ONE_STAGE),
    'SDANet': System(BOXES, [CONVNEXT, 'systems/sdanet_ddod'], {**ONE_STAGE, 'model.presence_channels': 32}),
    'SDANet, of two stages': System(MASKS, [CONVNEXT, 'systems/sdanet'], TWO_STAGES, steps=50),
    'Mamba YOLO': System(
        BOXES,
        ['backbones/mamba_yolo', 'systems/mamba_yolo'],
        {'backbone.arch': dict(_delete_=True, widths=(16, 32, 64, 128), depths=(1, 1, 1, 1))},
        steps=60,
    ),
    'RT-DETR': System(
        BOXES,
        [CONVNEXT, 'heads/rtdetr'],
        {
            **PYRAMID,
            'pyramid': 32,
            'width': 32,
            'decoder_layers': 2,
            'num_queries': 16,
            'denoising_queries': 16,
            'feedforward': 64,
            'model.neck.feedforward': 64,
            'model.neck.depth': 1,
            'model.neck.expansion': 0.5,
        },
        steps=150,
    ),
    'GiT, outlines': System(
        MASKS,
        ['backbones/git_nano', 'systems/git_instance'],
        {**GIT, 'num_bins': 2 * SIDE, 'grid': (1, 1), 'sampled': 1},
        rate=2e-3,
        steps=200,
        slow=True,
    ),
    'USIS-SAM': System(
        MASKS,
        ['backbones/adapted_sam_nano', 'systems/parts/usis_sam_small'],
        {
            'backbone.arch': dict(
                width=48, blocks=4, heads=2, global_blocks=(1, 3), window=4, neck_width=32, adapted=(1, 3)
            ),
            'backbone.image_size': SIDE,
            'pyramid': 32,
        },
        steps=150,
    ),
    'FashionFormer': System(
        DESCRIBED,
        [CONVNEXT, 'systems/fashionformer'],
        {
            **PYRAMID,
            'pyramid': 32,
            'num_queries': 8,
            'feedforward': 64,
            'model.mask_head.heads': 4,
            'model.mask_head.num_stages': 2,
        },
        steps=150,
    ),
    'Isomer': System(
        MOVING,
        ['backbones/mit', 'systems/isomer'],
        {'backbone.arch': dict(widths=(16, 16, 32, 32), depths=(1, 1, 1, 1), heads=(1, 1, 2, 2)), 'head_channels': 32},
    ),
}


def config_of(system: System, root: Path) -> Config:
    """The config of a system whose data lie below `root`."""
    path, bases = root / 'system.py', (*system.bases, system.task.data)
    path.write_text(f'_base_ = {[str(BASES / f"{base}.py") for base in bases]}')
    data_root = root / ('videos' if system.task is MOVING else 'scenes')
    sizes = {'image_scale': (SIDE, SIDE), 'crop_size': (SIDE, SIDE), 'data_root': str(data_root)}
    return load_config(path, {**sizes, 'augmentation': [], **system.task.options, **system.options})


def dataset_of(config: Config, *, training: bool) -> Any:
    """The eight images as the config tests on them, or for training: read and packed, and not augmented."""
    settings = dict(config.val_dataloader.dataset)
    if training:
        steps = [step for step in config.train_pipeline if step.type.rpartition('.')[2].startswith(('Load', 'Pack'))]
        settings |= dict(pipeline=steps, test_mode=False)
    return build_dataset(settings)


def scenes() -> Iterator[Scene]:
    """Pictures with two things on grounds of the sample set, side by side or one above the other."""
    for number in range(IMAGES):
        rng = np.random.default_rng((1, number))
        canvas = Canvas(rng, SIDE)
        canvas.lay_grounds()
        labels = rng.permutation(len(THING_CLASSES))[:2].tolist()
        for instance, label in enumerate(labels, start=1):
            center = np.array([0.27, 0.73])[:: 3 - 2 * instance] + rng.uniform(-0.03, 0.03, 2)
            if number % 2:
                center = np.array([center[0], 1 - center[1]])
            name = CLASSES[label]
            outline = place_outline(rng, OUTLINES[name](rng), SIDE, center=center, radii=(34, 42))
            canvas.place(name, outline, instance=instance)
        yield Scene(develop(rng, canvas.image), canvas.semantic, canvas.instances, tuple(labels))


def draw_videos(folder: Path, pictures: Sequence[Scene]) -> None:
    """Two videos in the layout of DAVIS: the first thing of one picture slides over another picture."""
    for video in range(2):
        ground, other = pictures[2 * video : 2 * video + 2]
        rows, columns = np.nonzero(other.instances == 1)
        rows, columns = rows - rows.min() + 4, columns - columns.min() + 4
        for time in range(IMAGES // 2):
            at = rows + (5 - 3 * video) * time, columns + (2 + 4 * video) * time
            frame, mask = ground.image.copy(), np.zeros((SIDE, SIDE), np.uint8)
            frame[at], mask[at] = other.image[other.instances == 1], 255
            write_image(folder / f'JPEGImages/480p/{video}/{time}.jpg', frame[..., ::-1])
            write_image(folder / f'Annotations/480p/{video}/{time}.png', mask)
    (folder / 'ImageSets/480p/val.txt').write_text('0\n1\n')


def draw_data(root: Path) -> None:
    """Draw scenes and videos below `root`, unless they are there."""
    if root.joinpath('scenes').exists():
        return
    pictures = list(scenes())
    write_split(root / 'scenes', 'validation', iter(pictures))
    describe(root / 'scenes/instances_validation.json', pictures)
    for part in ('JPEGImages', 'Annotations'):
        for video in range(2):
            (root / f'videos/{part}/480p/{video}').mkdir(parents=True)
    (root / 'videos/ImageSets/480p').mkdir(parents=True)
    draw_videos(root / 'videos', pictures)


def describe(path: Path, pictures: Sequence[Scene]) -> None:
    """Give the things in the annotation file of the pictures their attributes."""
    content = json.loads(path.read_text())
    content['attributes'] = [{'id': i, 'name': name} for i, name in enumerate(ATTRIBUTES)]
    instances = [picture.image[picture.instances == i] for picture in pictures for i in (1, 2)]
    for row, pixels in zip(content['annotations'], instances, strict=True):
        color = pixels.mean(0)  # red, green, blue
        row['attribute_ids'] = [int(color.argmax()), *([3] if color.mean() > BRIGHT else [])]
    path.write_text(json.dumps(content))


def overfit(system: System, root: Path) -> tuple[Predictor, float]:
    """Train a system on the images below `root`; the predictor of what was trained, and its score on them."""
    torch.manual_seed(0)
    draw_data(root)
    config = config_of(system, root)
    predictor = Predictor(config, device='cpu')
    model = predictor.model
    model.init_weights()
    train(model, dataset_of(config, training=True), system)
    return predictor, score(model, config)[system.task.score]


def train(model: nn.Module, dataset: Any, system: System) -> None:
    model.train()
    for norm in model.modules():
        if isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
            norm.momentum = 0.1  # some authors' statistics take thousands of steps to settle
    batch = pseudo_collate([dataset[i] for i in range(len(dataset))])
    batch = model.data_preprocessor(batch, training=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=system.rate, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, system.rate, total_steps=system.steps, pct_start=0.1)
    for _ in range(system.steps):
        total, _ = model.parse_losses(model(**batch, mode='loss'))
        optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


@torch.no_grad()
def score(model: nn.Module, config: Config) -> dict[str, float]:
    """The scores of the images by the config's evaluation."""
    model.eval()
    dataset, evaluator = dataset_of(config, training=False), Evaluator(config.val_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    for i in range(len(dataset)):
        batch = pseudo_collate([dataset[i]])
        evaluator.process(data_samples=model.test_step(batch), data_batch=batch)
    found = evaluator.evaluate(len(dataset))
    return {name.rpartition('/')[2]: value for name, value in found.items()}


def draw(predictor: Predictor, shown: Sequence[int] = SHOWN) -> np.ndarray:
    """Image, truth and prediction of some of the eight images, (H, W, 3) uint8, R, G, B; an image takes a row."""
    dataset, pictures = dataset_of(predictor.config, training=True), []
    for index in shown:
        (result,) = predictor(dataset.get_data_info(index)['img_path'])
        pictures.append(enlarged(result).input_image())
        pictures += [enlarged(each).output_image() for each in (truth(result, dataset[index]['data_samples']), result)]
    return arrange([np.asarray(picture) for picture in pictures])


def truth(result: Result, sample: Any) -> Result:
    """The labels of an image as a prediction; ignored pixels are black."""
    if isinstance(result, SegmentationResult):
        labels = sample.gt_sem_seg.data[0].numpy()
        ignored = len(result.classes)
        mask = np.where(labels == 255, ignored, labels).astype(np.uint8)
        return replace(result, mask=mask, palette=[*result.palette, (0, 0, 0)])
    things = sample.gt_instances
    masks = None if result.masks is None else [encoded(mask) for mask in things.masks.masks]
    labels = things.labels.numpy()
    attributes = things.attributes.numpy().astype(float) if 'attributes' in things else None
    instances = Instances(things.bboxes.tensor.numpy(), np.ones(len(labels)), labels, masks, attributes)
    if result.panoptic is None:
        return replace(result, instances=instances)
    stuff = sample.gt_sem_seg.sem_seg[0].numpy()
    seen = [label for label in np.unique(stuff).tolist() if label < len(result.classes)]
    segments = [*(stuff == label for label in seen), *(mask.astype(bool) for mask in things.masks.masks)]
    numbers = np.zeros(stuff.shape, np.int32)
    for number, segment in enumerate(segments, start=1):
        numbers[segment] = number
    return replace(result, instances=instances, panoptic=numbers, segments=[*seen, *labels.tolist()])


def enlarged(result: Result) -> Result:
    """The result of an image whose pixels are squares, so that its captions can be read."""

    def squares(array: np.ndarray) -> np.ndarray:
        return array.repeat(SQUARE, 0).repeat(SQUARE, 1)

    image = squares(result.image)
    if isinstance(result, SegmentationResult):
        return replace(result, image=image, mask=squares(result.mask))
    found = result.instances
    masks = None if result.masks is None else [encoded(squares(mask)) for mask in result.masks]
    instances = replace(found, boxes=found.boxes * SQUARE, masks=masks)
    panoptic = None if result.panoptic is None else squares(result.panoptic)
    return replace(result, image=image, instances=instances, panoptic=panoptic)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path, help='where the pictures go')
    parser.add_argument('--only', nargs='+', choices=SYSTEMS, default=list(SYSTEMS), metavar='SYSTEM')
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    MMLogger.get_current_instance().setLevel('ERROR')
    with tempfile.TemporaryDirectory() as root:
        for name in arguments.only:
            predictor, reached = overfit(SYSTEMS[name], Path(root))
            print(f'| {name} | {SYSTEMS[name].steps} | {SYSTEMS[name].task.score} | {reached:.3g} |', flush=True)
            Image.fromarray(draw(predictor)).save(arguments.folder / picture_name(name), quality=75)


def picture_name(name: str) -> str:
    return f'systems_{re.sub("[^a-z0-9]+", "_", name.lower())}.jpg'


if __name__ == '__main__':
    main()
