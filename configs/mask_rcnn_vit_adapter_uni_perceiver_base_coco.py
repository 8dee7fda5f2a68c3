_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/vit_adapter_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='uni_perceiver_base', last_map=True, pretrained='vit_adapter_uni_perceiver_base', windows=[14, 14, None] * 4, drop_path_rate=0.2)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.65))
published = dict(metric='bbox_mAP', value=51.2, segm_mAP=45.3, source='czczup/ViT-Adapter, detection/README.md')
