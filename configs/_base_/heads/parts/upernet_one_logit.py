# UPerNet for one class and its background: masks of 0 and 1 (num_classes = 2), one logit, no softmax.
_base_ = '../upernet.py'
model = dict(
    decode_head=dict(
        out_channels=1,
        threshold=0.5,
        loss_decode=[dict(type='CrossEntropyLoss', use_sigmoid=True), dict(type='denseformer.DiceLoss')],
    ),
    auxiliary_head=dict(out_channels=1, loss_decode=dict(use_sigmoid=True)),
)
