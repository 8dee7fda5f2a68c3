_base_ = [
    './_base_/backbones/dinat_nano.py',
    './_base_/heads/mask2former_panoptic.py',
    './_base_/datasets/sample_panoptic.py',
    './_base_/schedules/mask2former_minutes.py',
    './_base_/runtime/epochs.py',
]
head = dict(num_queries=20, width=64, num_heads=4, encoder_layers=1, decoder_layers=3, num_points=1024)
model = dict(panoptic_fusion_head=dict(score_threshold=0.3))
