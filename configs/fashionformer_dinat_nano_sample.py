_base_ = [
    './_base_/backbones/dinat_nano.py',
    './_base_/systems/fashionformer.py',
    './_base_/datasets/sample_instance.py',
    './_base_/schedules/adamw_minutes_epochs.py',
    './_base_/runtime/epochs.py',
]
num_attributes = 0  # the objects of the sample set have none
batch_size, pyramid, num_queries, feedforward = 4, 64, 20, 256
