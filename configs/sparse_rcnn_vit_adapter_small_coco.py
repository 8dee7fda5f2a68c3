_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/sparse_rcnn.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/vit_adapter_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', last_map=True, pretrained='vit_small_deit_imagenet1k', windows=[14, 14, None] * 4, drop_path_rate=0.2)
# The learned boxes have a quarter of the rate, and hardly any decay.
_keys = {key: dict(decay_mult=0.0) for key in ('level_embed', 'positions', 'norm', 'bias')}
_paramwise = dict(_delete_=True, custom_keys=dict(**_keys, rpn_head=dict(lr_mult=0.25, decay_mult=0.002)))
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor', paramwise_cfg=_paramwise, clip_grad=dict(max_norm=1))
published = dict(metric='bbox_mAP', value=48.1, source='czczup/ViT-Adapter, detection/README.md')
