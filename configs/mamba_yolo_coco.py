_base_ = [
    './_base_/backbones/mamba_yolo.py',
    './_base_/systems/mamba_yolo.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/yolo_300e.py',
    './_base_/runtime/epochs.py',
]
batch_size, image_scale = 64, (640, 640)
published = dict(metric='bbox_mAP', value=44.5, source='HZAI-ZJNU/Mamba-YOLO, README.md')
