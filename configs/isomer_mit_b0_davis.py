# The authors train on YouTube-VOS before, for 500 epochs, and publish no result of these weights beside their code.
_base_ = [
    './_base_/backbones/mit.py',
    './_base_/systems/isomer.py',
    './_base_/datasets/davis.py',
    './_base_/schedules/isomer_300e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(pretrained='imagenet1k_mmseg')
