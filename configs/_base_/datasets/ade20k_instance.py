# ADE20K's images with 100 classes of things. Mask2Former's prepare_ade20k_ins_seg.py makes the annotations.
_base_ = ['./parts/instances.py', './parts/cropping.py']
data_root = 'data/ade/ADEChallengeData2016'
num_classes = 100
image_scale = (2560, 640)
crop_size = (640, 640)
_dataset = dict(type='denseformer.ADE20KInstanceDataset', data_root='${data_root}')
train_sampler = dict(type='InfiniteSampler')
train_dataloader = dict(
    batch_sampler=None,
    dataset=dict(
        **_dataset,
        ann_file='ade20k_instance_train.json',
        data_prefix=dict(img='images/training'),
        filter_cfg=dict(filter_empty_gt=True),
    ),
)
val_dataloader = dict(
    dataset=dict(**_dataset, ann_file='ade20k_instance_val.json', data_prefix=dict(img='images/validation'))
)
