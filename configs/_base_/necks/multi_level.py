# mmsegmentation's neck for vision transformers: maps at one stride, resized to a pyramid, before the head's own neck.
# Needs of the other bases: backbone (map_channels and map_strides follow from it).
strides = [4, 8, 16, 32]
neck = dict(
    type='denseformer.MultiLevelNeck',
    in_channels='${map_channels}',
    in_strides='${map_strides}',
    out_channels='${map_channels[-1]}',
    out_strides='${strides}',
)
