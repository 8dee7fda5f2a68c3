# Mamba YOLO, https://arxiv.org/abs/2406.05835: its pyramid and YOLOv8's head. Needs of the other bases: backbone
# (channels and strides follow from it), num_classes.
_base_ = '../heads/parts/detector.py'
image_mean = [0.0, 0.0, 0.0]
image_std = [255.0, 255.0, 255.0]
scans = 1  # in each block of the pyramid
_levels = ['${channels[-3]}', '${channels[-2]}', '${channels[-1]}']
model = dict(
    type='denseformer.MambaYOLODetector',
    data_preprocessor=dict(pad_value=114 / 255),  # of pixels as the network sees them
    neck=dict(type='denseformer.MambaYOLOPAFPN', in_channels='${channels}', scans='${scans}'),
    bbox_head=dict(
        type='denseformer.YOLOv8Head',
        num_classes='${num_classes}',
        in_channels=_levels,
        strides=['${strides[-3]}', '${strides[-2]}', '${strides[-1]}'],
    ),
    train_cfg=dict(assigner=dict(type='TaskAlignedAssigner', topk=10)),
    test_cfg=dict(
        score_thr=0.001, min_bbox_size=0, nms_pre=30000, nms=dict(type='nms', iou_threshold=0.7), max_per_img=300
    ),
)
