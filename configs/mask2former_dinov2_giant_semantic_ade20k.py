# Rates and sizes of the head stand in no repository of the authors: they are ViT-Adapter's shares, Mask2Former's rates.
_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/mask2former_160k_adapter.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='dinov2_giant', pretrained='dinov2_giant_lvd142m_518', finetune='head', drop_path_rate=0.4)
head = dict(num_queries=200, width=1536, num_heads=32, decoder_hidden=6144)
image_scale, crop_size, cat_max_ratio = (3584, 896), (896, 896), 1.0
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(596, 596)))
published = dict(metric='mIoU', value=60.2, source='DINOv2 paper, https://arxiv.org/abs/2304.07193')
