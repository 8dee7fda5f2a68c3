_base_ = [
    './_base_/backbones/convnext.py',
    './_base_/heads/rtmdet_ins.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/rtmdet_100e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.2)
batch_size, image_scale = 32, (640, 640)
