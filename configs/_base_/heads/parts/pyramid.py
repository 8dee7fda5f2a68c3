# Detectors on a feature pyramid. Needs of the other bases: backbone (channels follow from it).
_base_ = './detector.py'
pyramid = 256  # channels of every level
model = dict(
    neck=dict(
        type='FPN',
        in_channels=['${channels[0]}', '${channels[1]}', '${channels[2]}', '${channels[3]}'],
        out_channels='${pyramid}',
        num_outs=5,
    )
)
