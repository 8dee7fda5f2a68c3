# Fruits and nuts: 18 photographs, 800 x 600, of which 14 are trained on, 3 classes.
_base_ = './parts/held_out_instance.py'
data_root = 'data/fruits'
annotations = 'trainval.json'
classes = ('date', 'fig', 'hazelnut')
num_classes = len(classes)
image_scale = (800, 600)
