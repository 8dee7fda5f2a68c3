# ADE20K's images with 100 classes of things and 50 of stuff. Mask2Former's prepare_ade20k_pan_seg.py makes the maps.
_base_ = ['./parts/panoptic.py', './parts/cropping.py']
data_root = 'data/ade/ADEChallengeData2016'
num_classes = 150
num_stuff = 50
image_scale = (2560, 640)
crop_size = (640, 640)
_dataset = dict(type='denseformer.ADE20KPanopticDataset', data_root='${data_root}')
train_sampler = dict(type='InfiniteSampler')
train_dataloader = dict(
    batch_sampler=None,
    dataset=dict(
        **_dataset,
        ann_file='ade20k_panoptic_train.json',
        data_prefix=dict(img='images/training', seg='ade20k_panoptic_train'),
    ),
)
val_dataloader = dict(
    dataset=dict(
        **_dataset,
        ann_file='ade20k_panoptic_val.json',
        data_prefix=dict(img='images/validation', seg='ade20k_panoptic_val'),
    )
)
