_base_ = [
    './_base_/backbones/dinat_nano.py',
    './_base_/heads/mask2former.py',
    './_base_/datasets/sample_instance.py',
    './_base_/datasets/parts/cropping.py',
    './_base_/schedules/mask2former_minutes.py',
    './_base_/runtime/epochs.py',
]
head = dict(num_queries=20, width=64, num_heads=4, encoder_layers=1, decoder_layers=3, num_points=1024)
batch_size, crop_size, scale_range, distorted = 4, (128, 128), (0.8, 1.25), 0.0
