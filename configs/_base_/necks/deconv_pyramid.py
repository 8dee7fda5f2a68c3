# BEiT's and MAE's neck: maps at one stride, enlarged by transposed convolutions. It stands before the head's own.
# Needs of the other bases: backbone (map_channels and map_strides follow from it).
strides = [4, 8, 16, 32]
neck = dict(
    type='denseformer.DeconvPyramid',
    in_channels='${map_channels}',
    in_strides='${map_strides}',
    out_strides='${strides}',
)
