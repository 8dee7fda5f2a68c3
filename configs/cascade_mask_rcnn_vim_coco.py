_base_ = [
    './_base_/backbones/vim.py',
    './_base_/heads/parts/cascade_mask_rcnn_vitdet.py',
    './_base_/datasets/coco_instance_square.py',
    './_base_/schedules/vitdet_100e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', image_size=1024, rope=True, pyramid=False, out_indices=(3,), drop_path_rate=0.1)
# Detectron2's rules of weight decay do not know the norms of this backbone, of its neck and heads: they decay, too.
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.837, backbone_no_decay=('pos_embed',), head_no_decay=()))
published = dict(metric='bbox_mAP', value=45.7, segm_mAP=39.2, source='Vision Mamba paper, https://arxiv.org/abs/2401.09417')
