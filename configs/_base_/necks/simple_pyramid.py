# ViTDet's neck: a pyramid of the last map alone, for heads that have no pyramid of their own.
# Needs of the other bases: backbone (map_channels and map_strides follow from it). One whose maps have norms of their own
# should have the last map alone, backbone = dict(out_indices=(3,)).
strides = [4, 8, 16, 32]
neck = dict(
    type='denseformer.SimpleFeaturePyramid',
    in_channels='${map_channels}',
    in_strides='${map_strides}',
    out_channels=256,
    out_strides='${strides}',
)
