# Synapse: slices of abdominal CT, 18 patients for training and 12 for validation, 9 classes with the background.
_base_ = './parts/segmentation.py'
data_root = 'data/synapse'
num_classes = 9
image_scale = (224, 224)
crop_size = (224, 224)
scale_range = (0.8, 1.25)
key_metric = 'Dice'
window = (-125, 275)  # Hounsfield units, of the slices and of volumes that `infer` is given
_dataset = dict(type='SynapseDataset', data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'))
)
val_dataloader = dict(dataset=dict(**_dataset, data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val')))
val_evaluator = [dict(type='denseformer.SegmentationMetric'), dict(type='denseformer.VolumeMetric')]
