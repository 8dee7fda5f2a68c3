# kMaX-DeepLab, https://arxiv.org/abs/2207.04044, for things and stuff. Needs of the other bases: backbone of four maps
# (channels follow from it), num_classes, num_stuff.
_base_ = '../heads/parts/detector.py'
image_mean = [127.5, 127.5, 127.5]
image_std = [127.5, 127.5, 127.5]
canvas = 1281  # images are padded to squares of this side
model = dict(
    type='denseformer.KMaXDeepLab',
    data_preprocessor=dict(pad_mask=True, pad_seg=True, pad_size_divisor='${canvas}'),
    panoptic_head=dict(
        type='denseformer.KMaXHead',
        in_channels='${channels}',
        num_classes='${num_classes}',
        num_stuff='${num_stuff}',
        num_queries=128,  # the most masks in an image
    ),
    panoptic_fusion_head=dict(
        type='denseformer.KMaXFusion', num_classes='${num_classes}', num_stuff='${num_stuff}', max_per_image=100
    ),
)
