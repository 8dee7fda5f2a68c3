_base_ = [
    './_base_/backbones/casvit.py',
    './_base_/heads/semantic_fpn.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/semantic_fpn_40k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='t', pretrained='imagenet1k', norm_eval=True, drop_path_rate=0.1)
batch_size = 4
published = dict(metric='mIoU', value=45.0, source='Tianfang-Zhang/CAS-ViT, MODEL_ZOO.md')
