"""GiT: boxes, outlines and label maps as sequences of words, https://arxiv.org/abs/2403.09394.

`network` is the transformer and its language, `vocabulary` the words, `heads` the three tasks and the models around
them.
"""
