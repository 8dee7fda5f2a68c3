# kMaX-DeepLab as its authors have it on Cityscapes: a fifth map, of the backbone's stem, and whole frames of 2049 x 1025.
_base_ = './kmax.py'
canvas = 1
head = dict(
    num_queries=256,
    widths=(512, 256, 128, 64, 32),
    depths=(1, 5, 1, 1, 1),
    semantic='small',
    pixel_temperature=0.6,
)
model = dict(
    data_preprocessor=dict(
        batch_augments=[dict(type='BatchFixedSizePad', size=(1025, 2049), pad_mask=True, pad_seg=True)]
    ),
    panoptic_fusion_head=dict(thing_threshold=0.5, stuff_threshold=0.3, kept_share=0.9, mask_weight=0.0),
)
