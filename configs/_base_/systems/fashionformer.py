# FashionFormer, https://arxiv.org/abs/2204.04654. Needs of the other bases: backbone (channels and strides follow from
# it), num_classes, num_attributes (0 for objects without attributes).
_base_ = '../heads/parts/pyramid.py'
pyramid_strides = [4, 8, 16, 32]
num_queries, feedforward = 100, 2048  # the most masks in an image; width of the MLPs
model = dict(
    type='denseformer.FashionFormer',
    data_preprocessor=dict(pad_mask=True),
    mask_head=dict(
        type='denseformer.FashionFormerHead',
        in_channels='${pyramid}',
        num_classes='${num_classes}',
        num_attributes='${num_attributes}',
        num_queries='${num_queries}',
        hidden='${feedforward}',
        all_levels=True,  # attributes are read from every level of the pyramid
        max_per_image=100,
    ),
)
