# USIS10K: 10632 underwater images, salient objects of 7 classes; usis10k_foreground has all of one. Published results are
# of the test split: test_images=test test_annotations=multi_class_annotations/multi_class_test_annotations.json.
_base_ = './parts/instances.py'
data_root = 'data/USIS10K'
train_annotations = 'multi_class_annotations/multi_class_train_annotations.json'
test_annotations, test_images = 'multi_class_annotations/multi_class_val_annotations.json', 'val'
classes = ('wrecks/ruins', 'fish', 'reefs', 'aquatic plants', 'human divers', 'robots', 'sea-floor')
num_classes = len(classes)
image_scale = (1024, 1024)
_dataset = dict(type='denseformer.CocoDataset', data_root='${data_root}', metainfo=dict(classes='${classes}'))
train_dataloader = dict(dataset=dict(**_dataset, ann_file='${train_annotations}', data_prefix=dict(img='train')))
val_dataloader = dict(dataset=dict(**_dataset, ann_file='${test_annotations}', data_prefix=dict(img='${test_images}')))
