_base_ = [
    './_base_/backbones/git.py',
    './_base_/systems/git_detection.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/git_120k_instances.py',
    './_base_/runtime/default.py',
]
backbone = dict(pretrained='sam_base_sa_1b', drop_path_rate=0.1, with_cp=True)
class_names, vocabulary, words_from = 'coco', 'data/bert/vocab.txt', 'weights:git_base_words'
image_scale, keep_ratio, batch_size = (1120, 1120), False, 3
train_dataloader = dict(sampler=dict(type='InfiniteSampler'), batch_sampler=None)
published = dict(metric='bbox_mAP', value=45.1, source='Haiyang-W/GiT, README.md')
