# The network of GiT, https://arxiv.org/abs/2403.09394, for all its tasks. Needs of the other bases: backbone, a GiTViT,
# num_classes.
class_names = '${num_classes}'  # with a vocabulary the names: a list, or 'coco', 'ade20k' ...
vocabulary = None  # path of BERT's vocab.txt (bert-base-uncased); without it words are learned by themselves
words_from = None  # BERT's embeddings that training starts from
window = 224  # pixels: sides of images are padded to multiples of it
find_unused_parameters = True  # the last block has vectors for a map that nobody takes
network = dict(
    type='denseformer.GiT',
    backbone='${backbone}',
    class_names='${class_names}',
    vocabulary='${vocabulary}',
    words_from='${words_from}',
)
