_base_ = [
    './_base_/backbones/swin.py',
    './_base_/systems/fashionformer.py',
    './_base_/datasets/fashionpedia.py',
    './_base_/schedules/fashionformer_3x.py',
    './_base_/runtime/epochs.py',
]
# The authors state no result in their repository.
backbone = dict(arch='base', pretrained='imagenet22k', drop_path_rate=0.2)
epochs, steps = 96, [64, 88]
