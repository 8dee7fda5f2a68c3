_base_ = [
    './_base_/backbones/dinat_nano.py',
    './_base_/systems/kmax_semantic.py',
    './_base_/datasets/sample.py',
    './_base_/schedules/adamw_minutes.py',
    './_base_/runtime/default.py',
]
head = dict(num_queries=24, width=64, widths=(64, 32, 16, 16), depths=(1, 1, 1, 1), layers=(1, 1, 1))
