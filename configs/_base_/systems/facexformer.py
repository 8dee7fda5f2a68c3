# FaceXFormer, https://arxiv.org/abs/2403.12960: parts of a face, and facts about it. Needs of the other bases: backbone
# (channels follow from it), num_classes, crop_size.
_base_ = '../heads/parts/segmentor.py'
facts = dict(landmarks=136, head_pose=3, attributes=40, visibility=29, age=8, gender=2, race=5)
model = dict(
    type='denseformer.FaceXFormer',
    decode_head=dict(
        type='denseformer.FaceXFormerHead',
        in_channels='${channels}',
        num_classes='${num_classes}',
        facts='${facts}',
        loss_decode=[dict(type='CrossEntropyLoss', loss_weight=1.0), dict(type='denseformer.DiceLoss')],
    ),
)
