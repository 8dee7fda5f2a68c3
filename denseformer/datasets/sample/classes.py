"""The classes of the sample set. Things stand first, as mmdet's panoptic heads expect."""

THING_CLASSES = ('star', 'heart', 'ring', 'cross', 'moon')
STUFF_CLASSES = ('pebbles', 'planks', 'weave')
CLASSES = THING_CLASSES + STUFF_CLASSES
IGNORED = 255

# (R, G, B), one per class; far enough apart that R + k, k < 20, names the k-th object of a class uniquely.
PALETTE = (
    (230, 180, 40),
    (214, 64, 92),
    (34, 150, 214),
    (46, 174, 110),
    (142, 92, 208),
    (120, 130, 140),
    (156, 108, 70),
    (206, 196, 164),
)
