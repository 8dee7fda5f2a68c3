# PIDray: X-ray images of baggage, 29457 for training and 18220 for tests in three parts, 12 classes of prohibited items.
# Another part is tested with test_annotations=annotations/xray_test_easy.json test_images=easy, or hidden.
_base_ = './parts/instances.py'
data_root = 'data/pidray'
test_annotations, test_images = 'annotations/xray_test_hard.json', 'hard'
classes = (
    'Baton', 'Pliers', 'Hammer', 'Powerbank', 'Scissors', 'Wrench',
    'Gun', 'Bullet', 'Sprayer', 'HandCuffs', 'Knife', 'Lighter',
)  # fmt: skip
num_classes = len(classes)
image_scale = (500, 500)
_dataset = dict(type='denseformer.CocoDataset', data_root='${data_root}', metainfo=dict(classes='${classes}'))
train_dataloader = dict(
    dataset=dict(**_dataset, ann_file='annotations/xray_train.json', data_prefix=dict(img='train'))
)
val_dataloader = dict(
    dataset=dict(**_dataset, ann_file='${test_annotations}', data_prefix=dict(img='${test_images}'))
)
