_base_ = [
    './_base_/backbones/parts/convnext_kmax.py',
    './_base_/systems/kmax.py',
    './_base_/datasets/coco_panoptic.py',
    './_base_/schedules/kmax_150k.py',
    './_base_/runtime/default.py',
]
backbone = dict(drop_path_rate=0.3)
image_scale = (1281, 1281)
train_dataloader = dict(sampler=dict(type='InfiniteSampler'), batch_sampler=None)
published = dict(metric='PQ', value=55.5, source='bytedance/kmax-deeplab, README.md')
