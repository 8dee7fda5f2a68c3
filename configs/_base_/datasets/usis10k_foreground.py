# USIS10K without classes: what is salient, and what is not.
_base_ = './usis10k.py'
train_annotations = 'foreground_annotations/foreground_train_annotations.json'
test_annotations = 'foreground_annotations/foreground_val_annotations.json'
classes = ('foreground',)
num_classes = 1
