"""The systems that `fit --model NAME` takes: what each changes of the row that its task has on a device.

A system is a head, or a head with its backbone, as docs/systems.md, docs/detection.md and docs/mask2former.md describe
them. What it does not change (sizes, batch, schedule, backbone) stays as `rules.TABLE` has it for the task. On a CPU
networks are as narrow as in the recipes of the sample set; on a GPU they have their published size, and start from
published weights where there are any.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Keys = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """Changes that a system makes to the row of its task on a device; None leaves what the row has.

    head, network: bases in place of the system's. sizes: keys that make head and network smaller, or name weights.
    schedule: a base. The others are those of `rules.Row`; smallest is for detectors that choose their queries among the
    places of the maps, of which a small image has too few; squares are for position tables, which fit them.
    """

    head: str | None = None
    network: str | None = None
    sizes: Keys | None = None
    schedule: str | None = None
    multiple: int | None = None
    smallest: int | None = None
    squares: bool | None = None
    long: int | None = None
    passes: int | None = None
    rate: float | None = None
    keys: Keys = field(default_factory=dict)
    gigabytes: float | None = None


@dataclass(frozen=True)
class System:
    """A system for a task.

    head: the base of its model; network: that of its backbone, '' where the head's base has it, None for the row's;
    like: the task whose row it starts from, None for its own; cpu, cuda: what it changes there.
    """

    head: str
    cpu: Change = Change()
    cuda: Change = Change()
    network: str | None = None
    like: str | None = None


JITTER = {
    'augmentation': [
        [{'type': 'RandomResize', 'scale': '${image_scale}', 'ratio_range': (0.7, 1.3), 'keep_ratio': True}]
    ]
}
SLOW_BACKBONE = {'optim_wrapper': {'paramwise_cfg': {'backbone_lr_mult': 0.1}}}

# Sizes for CPUs.
FEW_QUERIES = {'head': {'width': 64, 'num_heads': 4, 'encoder_layers': 1, 'decoder_layers': 3, 'num_points': 1024}}
FEW_CLUSTERS = {
    'head': {'num_queries': 24, 'width': 64, 'widths': (64, 32, 16, 16), 'depths': (1, 1, 1, 1), 'layers': (1, 1, 1)}
}
FEW_CLUSTERS_OF_THINGS = {**FEW_CLUSTERS, 'canvas': 32}
SMALL_PATCHES = {
    'backbone': {'arch': {'_delete_': True, 'width': 96, 'blocks': 6, 'heads': 3}, 'patch_size': 8, 'image_size': 256},
    'head': {'num_points': 1024},
}
NARROW_UNET = {
    'backbone': {
        'arch': {'_delete_': True, 'width': 32, 'depths': (2, 2, 4, 2), 'heads': (1, 2, 4, 8)},
        'pretrained': None,
    },
    'channels': (32, 64, 128, 256),
    'model': {'decode_head': {'channels': 16}},
}
NARROW_REGIONS = {'region_channels': 64, 'head_channels': 64, 'object_channels': 32}
NARROW_PARALLEL = {
    'backbone': {'width': 16, 'depths': (1, 1, 1), 'heads': 2, 'conv_width': 16},
    'channels': (48, 96, 192),
    'model': {'decode_head': {'channels': 16}},
}
NARROW_DENSE = {'pyramid': 64, 'model': {'bbox_head': {'stacked_convs': 2}}}
NARROW_CASCADE = {
    **JITTER,
    'pyramid': 64,
    'anchor_scale': 4,
    'model': {
        'train_cfg': {'rpn_proposal': {'nms_pre': 500, 'max_per_img': 200}},
        'test_cfg': {'rpn': {'nms_pre': 300, 'max_per_img': 100}},
    },
}
SHALLOW_DETR = {
    'encoder_layers': 1,
    'decoder_layers': 3,
    'num_queries': 50,
    'feedforward': 256,
    'dropout': 0.0,
    'model': {'test_cfg': {'max_per_img': 50}},
}
SHALLOW_DINO = {**SHALLOW_DETR, 'denoising_queries': 20}
SHALLOW_RTDETR = {
    'pyramid': 64,
    'width': 64,
    'decoder_layers': 2,
    'num_queries': 50,
    'feedforward': 256,
    'model': {'neck': {'depth': 1, 'feedforward': 256}},
}
NARROW_YOLO = {'backbone': {'arch': {'_delete_': True, 'widths': (16, 32, 64, 128), 'depths': (1, 1, 1, 1)}}}
SMALL_WINDOWS = {'window': 40, 'grid': (3, 3), 'sampled': 9, 'num_bins': 640}
NARROW_FASHION = {**JITTER, 'num_attributes': 0, 'pyramid': 64, 'num_queries': 50, 'feedforward': 256}

# Published weights, for GPUs.
MIT_B2 = {'backbone': {'arch': 'b2', 'pretrained': 'imagenet1k_mmseg', 'drop_path_rate': 0.1}}
DINOV2 = {'backbone': {'pretrained': 'reg4_lvd142m', 'registers': 4, 'patch_size': 16, 'image_size': 640}}
SWIN = {'backbone': {'pretrained': 'swin_tiny_imagenet1k'}}
LWGANET = {'backbone': {'arch': 'l2', 'pretrained': 'imagenet1k'}}
SAM = {'backbone': {'pretrained': 'sam_base_sa_1b', 'drop_path_rate': 0.1, 'with_cp': True}}
SAM_HUGE = {'load_from': 'weights:sam_huge_sa_1b'}

# fmt: off
RTDETR_CUDA = Change(sizes=JITTER, long=640, smallest=256, passes=72, keys=SLOW_BACKBONE, gigabytes=2)
PLAIN = Change(sizes=SMALL_PATCHES, rate=5e-4)
SQUARE = replace(PLAIN, squares=True)
SQUARE_CUDA = Change(sizes=DINOV2, schedule='schedules/eomt_coco', squares=True, long=640, gigabytes=4)
SQUARES_CUDA = Change(sizes=JITTER, long=640, passes=72, keys=SLOW_BACKBONE, gigabytes=2)
CLUSTERS_CUDA = Change(
    sizes={'canvas': 32},
    keys={'optim_wrapper': {'paramwise_cfg': {'head_no_decay': ('norm', 'queries', '_positions')}}})
DETR = Change(sizes=SHALLOW_DETR, rate=3e-4, smallest=64)
DINO = Change(sizes=SHALLOW_DINO, rate=3e-4, smallest=64)
DETR_CUDA = Change(schedule='schedules/detr_3x', passes=36, smallest=256, gigabytes=9)

SYSTEMS: Mapping[tuple[str, str], System] = {
    ('upernet', 'segmentation'): System('heads/upernet'),
    ('semantic_fpn', 'segmentation'): System(
        'heads/semantic_fpn', Change(sizes={'pyramid': 64, 'model': {'decode_head': {'channels': 64}}})),
    ('segformer', 'segmentation'): System(
        'heads/segformer', Change(sizes={'model': {'decode_head': {'channels': 64}}}),
        Change(network='backbones/mit', sizes=MIT_B2, rate=6e-4, keys=SLOW_BACKBONE)),
    ('mask2former', 'segmentation'): System(
        'heads/mask2former_semantic',
        Change(sizes=FEW_QUERIES, passes=24, rate=1e-3, keys={'optim_wrapper': {'clip_grad': {'max_norm': 1.0}}}),
        Change(schedule='schedules/mask2former_160k', gigabytes=3)),
    ('kmax', 'segmentation'): System(
        'systems/kmax_semantic', Change(sizes=FEW_CLUSTERS), Change(keys=SLOW_BACKBONE, gigabytes=3)),
    ('eomt', 'segmentation'): System(
        'heads/eomt_semantic', PLAIN, Change(sizes=DINOV2, schedule='schedules/eomt', gigabytes=3),
        network='backbones/dinov2'),
    ('bevanet', 'segmentation'): System(
        'systems/bevanet', Change(),
        Change(sizes={'backbone': {'pretrained': 'imagenet1k'}}, schedule='schedules/sgd_poly', passes=200, rate=1e-2),
        network=''),
    ('p2at', 'segmentation'): System('systems/p2at'),
    ('unetformer', 'segmentation'): System(
        'systems/unetformer', Change(),
        Change(network='backbones/lwganet', sizes=LWGANET, schedule='schedules/adamw_lookahead', rate=4e-4)),
    ('ocrnet', 'segmentation'): System(
        'systems/ocrnet', Change(sizes=NARROW_REGIONS),
        Change(
            network='backbones/parts/hrnet', schedule='schedules/sgd_poly', passes=175, rate=1e-2,
            gigabytes=2.5)),
    ('hbformer', 'segmentation'): System(
        'systems/hbformer', Change(sizes=NARROW_UNET),
        Change(sizes=SWIN, schedule='schedules/adamw_cosine', rate=3e-4), network=''),
    ('attswinunet', 'segmentation'): System(
        'systems/attswinunet', Change(sizes={'model': {'decode_head': {'depths': (2, 2, 2), 'heads': (2, 4, 8)}}}),
        Change(network='backbones/parts/swin_unet', schedule='schedules/adamw_cosine', rate=1e-4)),
    ('paratranscnn', 'segmentation'): System(
        'systems/paratranscnn', Change(sizes=NARROW_PARALLEL),
        Change(schedule='schedules/sgd_poly', passes=200, rate=1e-2, gigabytes=2), network=''),
    ('facexformer', 'segmentation'): System(
        'systems/facexformer',
        Change(sizes={
            'facts': {'_delete_': True}, 'model': {'decode_head': {'channels': 64, 'heads': 4, 'hidden': 128}}}),
        Change(sizes={'facts': {'_delete_': True}})),
    ('git', 'segmentation'): System(
        'systems/git_semantic',
        Change(network='backbones/git_nano', sizes={'window': 40, 'grid': (5, 5), 'sampled': 25}, multiple=40),
        Change(network='backbones/git', sizes=SAM, rate=2e-4, multiple=224, gigabytes=4)),

    ('retinanet', 'detection'): System('heads/retinanet'),
    ('rcnet', 'detection'): System('systems/rcnet', Change(sizes=NARROW_DENSE)),
    ('sdanet', 'detection'): System('systems/sdanet_ddod', Change(sizes=NARROW_DENSE)),
    ('deformable_detr', 'detection'): System('heads/deformable_detr', DETR, DETR_CUDA),
    ('dino', 'detection'): System('heads/dino', DINO, DETR_CUDA),
    ('ddq', 'detection'): System('heads/ddq', DINO, DETR_CUDA),
    ('rtdetr', 'detection'): System('heads/rtdetr', Change(sizes=SHALLOW_RTDETR, smallest=64), RTDETR_CUDA),
    ('rtmdet', 'detection'): System('heads/rtmdet', Change(sizes={'pyramid': 64}), SQUARES_CUDA),
    ('mamba_yolo', 'detection'): System(
        'systems/mamba_yolo', Change(sizes=NARROW_YOLO),
        Change(sizes=JITTER, long=640, passes=200, rate=1e-3, gigabytes=2), network='backbones/mamba_yolo'),
    ('git', 'detection'): System(
        'systems/git_detection', Change(network='backbones/git_nano', sizes=SMALL_WINDOWS),
        Change(network='backbones/git', sizes=SAM, rate=2e-4, gigabytes=8)),

    ('mask_rcnn', 'instances'): System('heads/mask_rcnn', Change(head='heads/parts/mask_rcnn_small', sizes=JITTER)),
    ('cascade_mask_rcnn', 'instances'): System('heads/cascade_mask_rcnn', Change(sizes=NARROW_CASCADE)),
    ('sdanet', 'instances'): System('systems/sdanet', Change(sizes=NARROW_CASCADE)),
    ('rtmdet', 'instances'): System('heads/rtmdet_ins', Change(sizes={**JITTER, 'pyramid': 64}), SQUARES_CUDA),
    ('mask2former', 'instances'): System('heads/mask2former', Change(sizes=FEW_QUERIES), like='panoptic'),
    ('kmax', 'instances'): System(
        'systems/kmax_instance', Change(sizes=FEW_CLUSTERS_OF_THINGS), CLUSTERS_CUDA, like='panoptic'),
    ('eomt', 'instances'): System('heads/eomt', SQUARE, SQUARE_CUDA, network='backbones/dinov2', like='panoptic'),
    ('fashionformer', 'instances'): System(
        'systems/fashionformer', Change(sizes=NARROW_FASHION), Change(sizes={'num_attributes': 0})),
    ('usis_sam', 'instances'): System(
        'systems/usis_sam',
        Change(head='systems/parts/usis_sam_small', network='backbones/adapted_sam_nano', sizes=JITTER),
        Change(network='backbones/adapted_sam', sizes=JITTER, long=1024, keys=SAM_HUGE, gigabytes=16)),
    ('git', 'instances'): System(
        'systems/git_instance', Change(network='backbones/git_nano', sizes=SMALL_WINDOWS),
        Change(network='backbones/git', sizes=SAM, rate=2e-4, gigabytes=8)),

    ('mask2former', 'panoptic'): System('heads/mask2former_panoptic'),
    ('kmax', 'panoptic'): System('systems/kmax', Change(sizes=FEW_CLUSTERS_OF_THINGS), CLUSTERS_CUDA),
    ('eomt', 'panoptic'): System('heads/eomt_panoptic', SQUARE, SQUARE_CUDA, network='backbones/dinov2'),

    ('isomer', 'video'): System('systems/isomer'),
}
# fmt: on


def tasks_of(name: str) -> list[str]:
    """The tasks that a system serves; none for a name that is no system's."""
    return [task for system, task in SYSTEMS if system == name]


def systems_for(task: str) -> list[str]:
    return sorted(system for system, served in SYSTEMS if served == task)
