_base_ = [
    './_base_/backbones/git.py',
    './_base_/systems/git_semantic.py',
    './_base_/datasets/ade20k_square.py',
    './_base_/schedules/git_120k.py',
    './_base_/runtime/default.py',
]
backbone = dict(pretrained='sam_base_sa_1b', drop_path_rate=0.1, with_cp=True)
class_names, vocabulary, words_from = 'ade20k', 'data/bert/vocab.txt', 'weights:git_base_words'
batch_size = 3
published = dict(metric='mIoU', value=47.7, source='Haiyang-W/GiT, README.md')
