_base_ = [
    './_base_/backbones/convnext.py',
    './_base_/heads/parts/rtdetr_multiscale.py',
    './_base_/datasets/coco_detection_squares.py',
    './_base_/schedules/rtdetr_6x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.2)
batch_size = 4
