_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/rtmdet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/rtmdet_100e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='imagenet22k_384', window_size=12, out_indices=(1, 2, 3), drop_path_rate=0.3)
_norm = dict(type='GN', num_groups=32)
model = dict(neck=dict(norm_cfg=_norm), bbox_head=dict(norm_cfg=_norm))
batch_size, image_scale = 32, (640, 640)
published = dict(metric='bbox_mAP', value=52.4, source='open-mmlab/mmdetection, configs/rtmdet/metafile.yml')
