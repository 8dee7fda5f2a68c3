# kMaX-DeepLab, https://arxiv.org/abs/2207.04044, for instances. Needs of the other bases: backbone of four maps (channels
# follow from it), num_classes.
_base_ = ['../heads/parts/detector.py', './parts/kmax_head.py']
image_mean = [127.5, 127.5, 127.5]
image_std = [127.5, 127.5, 127.5]
canvas = 1281  # images are padded to squares of this side
model = dict(
    type='denseformer.KMaXDeepLab',
    data_preprocessor=dict(pad_mask=True, pad_size_divisor='${canvas}'),
    panoptic_head='${head}',
    panoptic_fusion_head=dict(type='denseformer.KMaXFusion', num_classes='${num_classes}', max_per_image=100),
)
