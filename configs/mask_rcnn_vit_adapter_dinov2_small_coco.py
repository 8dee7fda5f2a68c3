_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/vit_adapter_3x.py',
    './_base_/runtime/epochs.py',
]
_windows = [14, 14, None] * 4
backbone = dict(arch='small', last_map=True, pretrained='dinov2_small_lvd142m_518', image_size=592, drop_path_rate=0.2, windows=_windows)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.7))
published = dict(metric='bbox_mAP', value=51.5, segm_mAP=45.6, source='czczup/ViT-Adapter, detection/configs/mask_rcnn/dinov2/README.md')
