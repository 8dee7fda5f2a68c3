# Hybrid task cascade, https://arxiv.org/abs/1901.07518: a cascade whose masks follow its boxes and each other, and read a
# label map of the whole image, which is learned, too. Needs of the other bases: backbone (channels and strides follow
# from it), num_classes, a dataset with label maps beside its masks (`with_seg`).
_base_ = './cascade_mask_rcnn.py'
stuff_classes = 183  # of the label maps
match_low_quality = True
_box_head = dict(
    type='Shared4Conv1FCBBoxHead',
    in_channels='${pyramid}',
    conv_out_channels='${pyramid}',
    num_classes='${num_classes}',
    reg_class_agnostic=True,
    loss_bbox=dict(type='SmoothL1Loss', beta=1.0),
)
_mask_head = dict(
    type='HTCMaskHead',
    num_convs=4,
    in_channels='${pyramid}',
    conv_out_channels='${pyramid}',
    num_classes='${num_classes}',
)
_scales = [0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067]
model = dict(
    type='HybridTaskCascade',
    data_preprocessor=dict(pad_seg=True),
    roi_head=dict(
        type='HybridTaskCascadeRoIHead',
        interleaved=True,
        mask_info_flow=True,
        bbox_head=[
            dict(_box_head, bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=scales)) for scales in _scales
        ],
        mask_head=[dict(_mask_head, with_conv_res=False), _mask_head, _mask_head],
        semantic_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14),
            featmap_strides=[8],
            out_channels='${pyramid}',
        ),
        semantic_head=dict(
            type='FusedSemanticHead',
            num_ins=5,
            fusion_level=1,  # at stride 8, to which label maps are reduced
            seg_scale_factor=1 / 8,
            in_channels='${pyramid}',
            conv_out_channels='${pyramid}',
            num_classes='${stuff_classes}',
            loss_seg=dict(type='CrossEntropyLoss', ignore_index=255, loss_weight=0.2),
        ),
    ),
)
