_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/parts/mask_rcnn_norms.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/vit_adapter_lsj.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='mae_base', last_map=True, pretrained='vit_base_mae_imagenet1k', windows=[14, 14, None] * 4, drop_path_rate=0.2)
epochs = 50
model = dict(data_preprocessor=dict(batch_augments=[dict(type='BatchFixedSizePad', size=(1024, 1024), pad_mask=True)]))
published = dict(metric='bbox_mAP', value=50.8, segm_mAP=45.1, source='czczup/ViT-Adapter, detection/README.md')
