# Mask2Former for instances.
# Needs of the other bases: backbone (channels follow from it), num_classes.
_base_ = ['./parts/detector.py', './parts/mask2former_head.py']
model = dict(
    type='denseformer.Mask2Former',
    data_preprocessor=dict(pad_mask=True),
    panoptic_head='${head}',
    panoptic_fusion_head=dict(type='denseformer.MaskFusion', num_classes='${num_classes}', max_per_image=100),
)
