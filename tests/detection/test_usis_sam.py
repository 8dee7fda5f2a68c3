"""USIS-SAM and SAM's decoder: the authors' outputs and names, what is trained, and a detector that learns."""

from functools import partial

import pytest
import refkit
import torch
from learning import learn, objects, picture
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from denseformer.config.loading import load_config
from denseformer.detection.sam import PromptableSAM, PromptedMaskHead, USISNeck
from denseformer.detection.sam.decoder import MaskDecoder, PromptEncoder
from denseformer.detection.sam.keys import remap_decoder_keys, remap_detector_keys
from denseformer.registry import MODELS

ARCH = dict(width=32, blocks=4, heads=2, global_blocks=(3,), window=2, neck_width=16, adapted=(1, 3))


class Parts(nn.Module):
    """The parts of the detector that the reference has, in their places."""

    def __init__(self):
        super().__init__()
        arch = dict(
            **dict(width=96, blocks=6, heads=3, hidden=384, window=3, global_blocks=(2, 5)),
            **dict(neck_width=64, adapted=(1, 3, 5)),
        )
        self.backbone = MODELS.build(
            dict(type='denseformer.AdaptedSAM', arch=arch, image_size=128, neck=True, frozen=True)
        )
        self.neck = USISNeck(
            in_channels=self.backbone.out_channels,
            in_strides=self.backbone.out_strides,
            out_channels=64,
            out_strides=(4, 8, 16, 32, 64),
            levels=3,
        )
        self.roi_head = nn.Module()
        self.roi_head.mask_head = PromptedMaskHead(in_channels=64)
        del self.roi_head.mask_head.decoder, self.roi_head.mask_head.no_mask_embed

    def forward(self, image: Tensor) -> list[Tensor]:
        maps = self.backbone(image)
        regions = refkit.make_input(dict(input=(4, 64, 14, 14), seed=100, kind='normal'))
        return [maps[-1], maps[-2], *self.neck(maps), self.roi_head.mask_head.prompt(regions)]

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        names = remap_detector_keys(dict(state_dict))
        state_dict.clear()
        state_dict.update(names)
        super()._load_from_state_dict(state_dict, prefix, *args)


def test_agrees_with_the_authors_code_under_the_authors_names():
    assert refkit.check(Parts(), 'usis/probe_128') < 1e-4


def detector(**backbone) -> nn.Module:
    init_default_scope('mmdet')
    torch.manual_seed(0)
    config = load_config('configs/usis_sam_sample.py', {'canvas': 64, 'pyramid': 16, 'num_classes': 2}).model
    config.backbone.update(arch=ARCH, image_size=64, **backbone)
    config.neck.in_channels, config.neck.in_strides = (32, 32, 32, 16), (8, 8, 8, 8)
    config.roi_head.bbox_head.fc_out_channels = 32
    config.roi_head.mask_head.hidden = 32
    config.roi_head.mask_head.frozen = config.backbone.frozen
    config.train_cfg.rcnn.sampler.num = 16
    config.train_cfg.rpn_proposal.max_per_img = config.test_cfg.rpn.max_per_img = 50
    config.test_cfg.rcnn.score_thr = 0.0
    return MODELS.build(config)


def test_learns_objects_and_finds_masks_at_the_size_of_the_original():
    model = detector()
    boxes = [[4, 4, 24, 24], [20, 26, 44, 46]]
    image, sample = picture(50, 60, boxes), partial(objects, 50, 60, boxes, [0, 1], scale=0.5)
    batch = model.data_preprocessor(dict(inputs=[image] * 2, data_samples=[sample(), sample()]), training=True)
    totals = learn(model, batch, steps=6, rate=3e-3)
    assert totals[-1] < 0.8 * totals[0]
    silent = {name for name, p in model.named_parameters() if p.grad is None}
    other_masks = ('output_hypernetworks_mlps', 'iou_prediction_head')
    assert all(any(part in name for part in other_masks) for name in silent)
    model.eval()
    with torch.no_grad():
        batch = model.data_preprocessor(dict(inputs=[image], data_samples=[sample()]))
        found = model(**batch, mode='predict')[0].pred_instances
    assert found.masks.shape == (len(found), 100, 120)
    assert found.masks.dtype == torch.bool
    assert len(found)


def test_of_a_frozen_sam_only_adapters_learn():
    model = detector(frozen=True)
    learned = {name for name, p in model.backbone.named_parameters() if p.requires_grad}
    assert learned == {name for name, _ in model.backbone.named_parameters() if '.adapters.' in name}
    assert not any(p.requires_grad for p in model.roi_head.mask_head.decoder.parameters())
    maps = model.backbone.train()(torch.randn(1, 3, 64, 64))
    sum(each.sum() for each in maps).backward()
    assert all(p.grad is not None for p in model.backbone.parameters() if p.requires_grad)


def test_an_image_without_objects_is_learned_from():
    model = detector()
    batch = dict(inputs=[picture(50, 60, [])], data_samples=[objects(50, 60, [], [])])
    losses = model(**model.data_preprocessor(batch, training=True), mode='loss')
    assert losses['loss_mask'] == 0
    assert losses['loss_mask'].requires_grad


def test_weights_of_sam_set_encoder_and_decoder():
    model = detector()
    names = (
        ('backbone.patch_embed.patches.proj', 'image_encoder.patch_embed.proj'),
        ('backbone.patch_embed.positions.table', 'image_encoder.pos_embed'),
        ('backbone.', 'image_encoder.'),
        ('roi_head.mask_head.decoder.', 'mask_decoder.'),
        ('roi_head.mask_head.positions.directions', 'prompt_encoder.pe_layer.positional_encoding_gaussian_matrix'),
        ('roi_head.mask_head.no_mask_embed', 'prompt_encoder.no_mask_embed'),
        ('.mlp.fc', '.mlp.lin'),
    )
    theirs = {}
    for key, value in model.state_dict().items():
        if key.startswith(('neck', 'rpn', 'roi_head.bbox', 'roi_head.mask_head.tokens')) or '.adapters.' in key:
            continue
        for ours, name in names:
            key = key.replace(ours, name)
        theirs[key] = value
    theirs['prompt_encoder.point_embeddings.0.weight'] = torch.zeros(1, 16)
    left = model.load_state_dict(theirs, strict=False)
    assert not left.unexpected_keys
    assert all(
        key.startswith(('neck', 'rpn', 'roi_head.bbox', 'roi_head.mask_head.tokens')) or '.adapters.' in key
        for key in left.missing_keys
    )


def test_a_decoder_under_the_names_of_transformers_loads():
    decoder = MaskDecoder(16, 32)
    names = (
        ('output_upscaling.0.', 'upscale_conv1.'),
        ('output_upscaling.1.', 'upscale_layer_norm.'),
        ('output_upscaling.3.', 'upscale_conv2.'),
        ('transformer.norm_final_attn.', 'transformer.layer_norm_final_attn.'),
        ('.norm', '.layer_norm'),
        ('.mlp.fc', '.mlp.lin'),
        ('.layers.0.weight', '.proj_in.weight'),
        ('.layers.0.bias', '.proj_in.bias'),
        ('.layers.2.', '.proj_out.'),
        ('.layers.1.weight', '.layers.0.weight'),
        ('.layers.1.bias', '.layers.0.bias'),
    )
    state, theirs = decoder.state_dict(), {}
    for key, value in state.items():
        for ours, name in names:
            key = key.replace(ours, name)
        theirs[key] = value
    ours = remap_decoder_keys(theirs)
    assert set(ours) == set(state)
    assert all(torch.equal(ours[key], state[key]) for key in state)


def test_prompts_are_points_boxes_and_masks():
    torch.manual_seed(0)
    prompts, decoder = PromptEncoder(16), MaskDecoder(16, 32)
    points, labels = torch.rand(3, 2, 2) * 64, torch.tensor([[1, 0]] * 3)
    boxes = torch.tensor([[4.0, 4, 20, 20]] * 3)
    alone, nothing = prompts((64, 64), points=points, labels=labels)
    both, _ = prompts((64, 64), points=points, labels=labels, boxes=boxes)
    assert alone.shape == (3, 3, 16)  # and one that says that there is no box
    assert both.shape == (3, 4, 16)
    torch.testing.assert_close(alone[:, 2], prompts.not_a_point_embed.weight.expand(3, -1))
    place = prompts.positions(torch.tensor([4.5, 4.5]) / 64)
    torch.testing.assert_close(both[0, 2], place + prompts.point_embeddings[2].weight[0])
    _, dense = prompts((64, 64), boxes=boxes, masks=torch.randn(3, 1, 16, 16))
    assert dense.shape == (3, 16, 4, 4)
    embedding, position = torch.randn(3, 16, 4, 4), prompts.positions.of_map(4, 4)
    for several, count in ((False, 1), (True, 3)):
        masks, overlaps = decoder(embedding, position, alone, nothing, several=several)
        assert masks.shape == (3, count, 16, 16)
        assert overlaps.shape == (3, count)
    with pytest.raises(ValueError, match='Nothing to look for'):
        prompts((64, 64))
    with pytest.raises(ValueError, match='Points need labels'):
        prompts((64, 64), points=points)


def test_sam_takes_its_authors_file_and_finds_masks_at_the_size_of_the_image():
    torch.manual_seed(0)
    arch = dict(width=32, blocks=2, heads=2, global_blocks=(1,), window=2, neck_width=16)
    first, second = (PromptableSAM(arch=arch, image_size=64).eval() for _ in range(2))
    names = (
        ('encoder.patch_embed.patches.proj', 'image_encoder.patch_embed.proj'),
        ('encoder.patch_embed.positions.table', 'image_encoder.pos_embed'),
        ('encoder.', 'image_encoder.'),
        ('decoder.', 'mask_decoder.'),
        ('prompts.positions.directions', 'prompt_encoder.pe_layer.positional_encoding_gaussian_matrix'),
        ('prompts.', 'prompt_encoder.'),
    )
    theirs = {'pixel_mean': torch.zeros(3, 1, 1)}
    for key, value in first.state_dict().items():
        ours, name = next((ours, name) for ours, name in names if key.startswith(ours))
        key = (name + key[len(ours) :]).replace('.mlp.fc', '.mlp.lin')
        theirs[key] = value
    left = second.load_state_dict(theirs)
    assert not left.missing_keys
    assert not left.unexpected_keys
    image, boxes = torch.randn(1, 3, 64, 96), torch.tensor([[4.0, 4, 40, 40], [8, 8, 90, 60]])
    with torch.no_grad():
        found, overlaps = first(first.embed(image), boxes=boxes, several=True)
        again, _ = second(second.embed(image), boxes=boxes, several=True)
        refined, _ = first(first.embed(image), boxes=boxes, masks=found[:, :1, ::4, ::4])
    assert found.shape == (2, 3, 64, 96)
    assert overlaps.shape == (2, 3)
    assert refined.shape == (2, 1, 64, 96)
    torch.testing.assert_close(found, again)


def test_a_place_in_a_map_has_the_position_of_its_center():
    positions = PromptEncoder(16).positions
    torch.testing.assert_close(positions.of_map(2, 4)[0, :, 1, 0], positions(torch.tensor([1 / 8, 3 / 4])))


def test_joining_no_map_is_refused():
    with pytest.raises(ValueError, match='at least one is joined'):
        USISNeck(in_channels=(8, 8), in_strides=(8, 8), out_channels=8, out_strides=(4, 8), levels=2)
