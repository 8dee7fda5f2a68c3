_base_ = [
    './_base_/backbones/parts/convnext_kmax.py',
    './_base_/systems/kmax.py',
    './_base_/datasets/ade20k_panoptic.py',
    './_base_/schedules/kmax_100k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='large', drop_path_rate=0.7)
image_scale, crop_size, augmentation = (1281, 1281), (1281, 1281), '${pasting}'
head = dict(drop_path_rate=0.0)
model = dict(panoptic_fusion_head=dict(thing_threshold=0.4, stuff_threshold=0.4))
published = dict(metric='PQ', value=50.0, source='bytedance/kmax-deeplab, README.md')
