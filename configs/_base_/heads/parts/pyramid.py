# Detectors on a feature pyramid. Needs of the other bases: backbone (channels and strides follow from it),
# pyramid_strides (of the levels).
_base_ = './detector.py'
pyramid = 256  # channels of every level
model = dict(
    neck=dict(
        type='denseformer.FPN',
        in_channels='${channels}',
        in_strides='${strides}',
        out_channels='${pyramid}',
        out_strides='${pyramid_strides}',
    )
)
