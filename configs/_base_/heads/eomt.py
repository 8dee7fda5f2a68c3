# EoMT for instances.
# Needs of the other bases: backbone (a plain one), num_classes.
_base_ = ['./parts/detector.py', './parts/eomt_encoder.py']
model = dict(
    type='denseformer.Mask2Former',
    data_preprocessor=dict(pad_mask=True),
    backbone='${encoder}',
    panoptic_head='${head}',
    panoptic_fusion_head=dict(type='denseformer.MaskFusion', num_classes='${num_classes}', max_per_image=100),
)
