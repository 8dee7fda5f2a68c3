_base_ = [
    './_base_/backbones/rmt.py',
    './_base_/heads/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='imagenet1k', drop_path_rate=0.4)
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor', optimizer=dict(lr=4e-4, weight_decay=1e-4))
published = dict(metric='bbox_mAP', value=49.1, source='qhfan/RMT, detect/RMT_det.png')
