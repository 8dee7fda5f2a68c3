_base_ = [
    './_base_/backbones/dinat_nano.py',
    './_base_/systems/kmax_instance.py',
    './_base_/datasets/sample_instance.py',
    './_base_/datasets/parts/cropping.py',
    './_base_/schedules/mask2former_minutes.py',
    './_base_/runtime/epochs.py',
]
canvas = 32  # sides become multiples of it
head = dict(num_queries=24, width=64, widths=(64, 32, 16, 16), depths=(1, 1, 1, 1), layers=(1, 1, 1))
batch_size, crop_size, scale_range, distorted = 4, (128, 128), (0.8, 1.25), 0.0
