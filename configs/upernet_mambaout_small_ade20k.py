# The authors publish results without configs: rates and schedule are those most networks use.
_base_ = [
    './_base_/backbones/mambaout.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.4)
published = dict(metric='mIoU', value=49.5, multi_scale=50.6, source='MambaOut paper, https://arxiv.org/abs/2405.07992')
