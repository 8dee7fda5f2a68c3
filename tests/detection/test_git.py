"""GiT: the authors' outputs, its words, its three tasks, and the authors' names."""

import warnings
from functools import partial

import numpy as np
import pytest
import refkit
import torch
from learning import learn, objects, picture
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from denseformer.attention.windows import window_partition, window_reverse
from denseformer.detection.git import GiT, targets
from denseformer.detection.git.heads import filled
from denseformer.detection.git.vocabulary import pieces_of, split_words
from denseformer.registry import MODELS

BOXES = [[4, 4, 20, 20], [24, 10, 44, 30]]
SMALL = dict(
    type='denseformer.GiTViT',
    arch=dict(width=32, blocks=3, heads=2, global_blocks=(1,), window=2),
    patch_size=8,
    image_size=64,
)


def build(task: str = 'detection', **options) -> GiT:
    torch.manual_seed(0)
    bins = None if task == 'semantic_segmentation' else 40
    return GiT(**{**dict(backbone=SMALL, class_names=3, task=task, num_bins=bins, dropout=0.0), **options})


def test_agrees_with_the_authors_code():
    """In teaching and in asking, with words and a task that are given."""
    arch = dict(width=96, blocks=6, heads=3, global_blocks=(1,), window=4, hidden=384)
    network = build(backbone=dict(type='denseformer.GiTViT', arch=arch, image_size=(128, 192)))
    network.words.words, network.words.positions = nn.Embedding(40, 96), nn.Embedding(16, 96)
    task, words = (
        refkit.make_input(dict(input=shape, seed=seed, kind='normal'))
        for shape, seed in (((96,), 200), ((30, 96), 201))
    )
    words, grid, points = 0.3 * words, (2, 2), (4, 6)
    given = window_partition((7 * torch.arange(24 * 4) % 30).view(1, *points, 4), grid)[0]

    def by_rows(x: Tensor) -> Tensor:
        return window_reverse(x.flatten(2)[None], grid, points).flatten(1, 2).unflatten(2, x.shape[2:])

    def outputs(network: GiT, image: Tensor) -> list[Tensor]:
        sight = network(image)
        where, starts = sight.points(grid), sight.starts(grid, task)
        taught = sight.teach(where, starts, task, words, given)
        classes, *numbers = sight.ask(where, starts, task, words, [range(21, 30)] + [range(21)] * 4)
        boxes = torch.stack([each.argmax(-1) for each in numbers], -1) / 20
        boxes[..., :2] += where - 0.5
        return [sight.map.permute(0, 3, 1, 2), *map(by_rows, (taught, classes.softmax(-1)[..., :-1], boxes))]

    assert refkit.check(network, 'git/probe_128x192', outputs) < 1e-4


def test_asking_finds_what_teaching_scores():
    network = build().eval()
    words, task = network.words.vectors()
    with torch.no_grad():
        sight = network(torch.randn(2, 3, 32, 64))
        points, starts = sight.points((1, 2)), sight.starts((1, 2), task)
        found = torch.stack(sight.ask(points, starts, task, words, [range(len(words))] * 4), 2)
        taught = sight.teach(points, starts, task, words, found.argmax(-1)[:, :, :-1])
    torch.testing.assert_close(found, taught, rtol=1e-4, atol=1e-4)


def test_sequences_see_their_window_and_themselves_alone():
    network = build(backbone={**SMALL, 'arch': {**SMALL['arch'], 'global_blocks': ()}}).eval()
    words, task = network.words.vectors()
    image = torch.randn(1, 3, 32, 32)
    other = image.clone()
    other[..., 16:] += 1  # the windows on the right

    def scores(image: Tensor, given: Tensor) -> Tensor:
        with torch.no_grad():
            sight = network(image)
            return sight.teach(sight.points((2, 1)), sight.starts((2, 1), task), task, words, given)

    given = torch.zeros(4, 2, 3, dtype=torch.long)
    changed = given.clone()
    changed[:, 1, 1] = 5
    one, two, three = scores(image, given), scores(other, given), scores(image, changed)
    same = (one - two).abs().amax((1, 2, 3)) < 1e-5
    assert same.tolist() == [True, False, True, False]
    assert torch.equal(one[:, 0], three[:, 0])
    torch.testing.assert_close(one[:, 1, :2], three[:, 1, :2])
    assert not torch.allclose(one[:, 1, 2:], three[:, 1, 2:])


def test_texts_are_split_as_bert_splits_them(tmp_path):
    assert split_words('Semantic_Segmentation, café') == ['semantic', '_', 'segmentation', ',', 'cafe']
    known = {piece: i for i, piece in enumerate(['[PAD]', '[UNK]', 'ped', '##estr', '##ian', 'traffic', 'light'])}
    assert pieces_of('Pedestrian', known) == [2, 3, 4]
    assert pieces_of('traffic light', known) == [5, 6]
    assert pieces_of('zebra light', known) == [1, 6]


def test_words_of_one_piece_are_its_vector_and_others_a_mix_of_theirs(tmp_path):
    vocabulary = tmp_path / 'vocab.txt'
    vocabulary.write_text('\n'.join(['[PAD]', '[UNK]', 'cat', 'traffic', 'light', '0', '1', 'detection']))
    network = build(class_names=['cat', 'traffic light'], num_bins=1, vocabulary=str(vocabulary))
    words, task = network.words.vectors()
    table = network.words.words.weight
    assert torch.equal(words[:3], table[[5, 6, 2]])
    assert torch.equal(task, table[7])
    assert not torch.equal(words[3], table[3])
    torch.testing.assert_close(words[4], -words[2:4].mean(0))


def test_a_vocabulary_that_is_missing_is_named_with_what_it_must_be():
    network = build(class_names=['cat'], vocabulary='nowhere/vocab.txt')
    with pytest.raises(ValueError, match=r"BERT's vocab\.txt"):
        network.init_weights()


def test_classes_of_a_data_set_are_known_by_its_name():
    assert build(class_names='coco').words.num_classes == 80
    assert build('semantic_segmentation', class_names='ade20k').words.num_classes == 150


def test_rays_reach_the_outline():
    mask = np.zeros((60, 80), np.uint8)
    mask[10:41, 20:61] = 1
    values = targets.ray_values(mask[None], 24, (80, 60))
    assert values[0, :2] * (80, 60) == pytest.approx([40, 25])
    assert values[0, [2, 8]] * 80 == pytest.approx([15, 20])  # down, and to the right
    corners = targets.polygons(torch.from_numpy(values * ([80, 60] + [80] * 24)).float())
    found = filled(corners, (60, 80))[0].numpy()
    assert (found & (mask > 0)).sum() / (found | (mask > 0)).sum() > 0.9


def test_an_empty_mask_has_no_rays():
    assert not targets.ray_values(np.zeros((1, 8, 8), np.uint8), 12, (8, 8)).any()


def test_points_of_objects_are_taught_first():
    positive = torch.zeros(5, 9, dtype=torch.bool)
    positive[:, 4:6] = True
    chosen = targets.choose(positive, 3)
    assert all(len(set(row)) == 3 and {4, 5} <= set(row) for row in chosen.tolist())


def detector(rays: int) -> nn.Module:
    init_default_scope('mmdet')
    torch.manual_seed(0)
    task = 'instance_segmentation' if rays else 'detection'
    return MODELS.build(
        ConfigDict(
            type='denseformer.GiTDetector',
            data_preprocessor=dict(
                type='DetDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, pad_mask=True, pad_size_divisor=16
            ),
            backbone=dict(type='denseformer.GiT', backbone=SMALL, class_names=2, task=task, num_bins=64),
            bbox_head=dict(type='denseformer.GiTDetectionHead', num_classes=2, grid=(1, 1), sampled=1, rays=rays),
        )
    )


def test_learns_outlines_and_finds_them_at_the_size_of_the_original():
    model = detector(12)
    image, sample = picture(40, 56, BOXES), partial(objects, 40, 56, BOXES, [0, 1], scale=0.5)
    batch = model.data_preprocessor(dict(inputs=[image] * 2, data_samples=[sample(), sample()]), training=True)
    totals = learn(model, batch, steps=24, rate=5e-3)
    assert totals[-1] < 0.3 * totals[0]
    silent = {name for name, p in model.named_parameters() if p.grad is None}
    assert silent == {f'backbone.backbone.blocks.2.attn.rel_pos_{axis}' for axis in 'hw'}  # of the map behind them
    model.eval()
    with torch.no_grad():
        batch = model.data_preprocessor(dict(inputs=[image], data_samples=[sample()]))
        (found,) = model(**batch, mode='predict')
    best = found.pred_instances[:2]
    order = best.labels.argsort()
    assert best.labels[order].tolist() == [0, 1]
    expected = torch.tensor([[8.0, 8, 40, 40], [48, 20, 88, 60]])
    assert (best.bboxes[order] - expected).abs().max() < 8
    assert found.pred_instances.masks.shape[1:] == (80, 112)
    truth = torch.zeros(80, 112, dtype=torch.bool)
    truth[8:40, 8:40] = True
    mask = best.masks[order][0]
    assert (mask & truth).sum() / (mask | truth).sum() > 0.6


def test_an_image_without_objects_is_learned_from():
    model = detector(0)
    batch = dict(inputs=[picture(32, 32, [])], data_samples=[objects(32, 32, [], [])])
    batch = model.data_preprocessor(batch, training=True)
    losses = model(**batch, mode='loss')
    assert losses['loss_cls'] > 0
    assert losses['loss_reg'] == 0


def segmentor() -> nn.Module:
    init_default_scope('mmseg')
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return MODELS.build(
            ConfigDict(
                type='denseformer.GiTSegmentor',
                data_preprocessor=dict(
                    type='SegDataPreProcessor',
                    mean=[127.5] * 3,
                    std=[127.5] * 3,
                    size=(32, 48),
                    test_cfg=dict(size_divisor=16),
                ),
                backbone=dict(
                    type='denseformer.GiT', backbone=SMALL, class_names=3, task='semantic_segmentation', dropout=0.0
                ),
                decode_head=dict(type='denseformer.GiTSemanticHead', num_classes=3, grid=(2, 2), sampled=4),
                test_cfg=dict(mode='whole'),
            )
        )


def eight_images() -> tuple[list[Tensor], list[list[list[int]]]]:
    """Images (3, 32, 48), a red rectangle on the left and a green one on the right of each; their boxes."""
    generator = torch.Generator().manual_seed(0)
    images, boxes = [], []
    for _ in range(8):
        picture, corners = torch.full((3, 32, 48), 40, dtype=torch.uint8), []
        for number in range(2):
            top = 4 * int(torch.randint(0, 5, (1,), generator=generator))
            left = 24 * number + 4 * int(torch.randint(0, 3, (1,), generator=generator))
            picture[number, top : top + 12, left : left + 16] = 220
            corners.append([left, top, left + 16, top + 12])
        images.append(picture)
        boxes.append(corners)
    return images, boxes


def overfit(model: nn.Module, batch: dict) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=240, pct_start=0.1)
    for _ in range(240):
        total, _ = model.parse_losses(model(**batch, mode='loss'))
        optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()


def test_overfits_the_boxes_of_eight_images():
    images, boxes = eight_images()
    samples = [objects(32, 48, corners, [0, 1]) for corners in boxes]
    model = detector(0)
    batch = dict(inputs=images, data_samples=samples)
    overfit(model, model.data_preprocessor(batch, training=True))
    with torch.no_grad():
        found = model(**model.data_preprocessor(batch), mode='predict')
    for each, corners in zip(found, boxes, strict=True):
        sure = each.pred_instances[each.pred_instances.scores > 0.5]
        sure = sure[sure.labels.argsort()]
        assert sure.labels.tolist() == [0, 1]
        assert (sure.bboxes - torch.tensor(corners)).abs().max() < 2


def test_overfits_the_label_maps_of_eight_images_and_takes_other_sizes():
    images, boxes = eight_images()
    labels = torch.zeros(8, 32, 48, dtype=torch.long)
    for each, corners in zip(labels, boxes, strict=True):
        for label, (left, top, right, bottom) in enumerate(corners, start=1):
            each[top:bottom, left:right] = label
    model = segmentor()
    samples = [SegDataSample(gt_sem_seg=PixelData(data=each[None])) for each in labels]
    overfit(model, model.data_preprocessor(dict(inputs=images, data_samples=samples), training=True))

    def predicted(picture: Tensor) -> Tensor:
        shape = tuple(picture.shape[1:])
        wanted = SegDataSample(metainfo=dict(img_shape=shape, ori_shape=shape))
        with torch.no_grad():
            (found,) = model(**model.data_preprocessor(dict(inputs=[picture], data_samples=[wanted])), mode='predict')
        return found.pred_sem_seg.data[0]

    right = [(predicted(picture) == each).float().mean() for picture, each in zip(images, labels, strict=True)]
    assert sum(right) / 8 > 0.97
    assert predicted(images[0][:, :30, :44]).shape == (30, 44)


def test_pixels_of_a_point_are_put_back_where_they_were_cut_out():
    model = segmentor().eval()
    head = model.decode_head
    with torch.no_grad():
        sight = model.backbone(torch.randn(2, 3, 32, 48))
    pixels = torch.randint(0, 3, (2, 8, 12))
    said = head.cut(pixels, sight)
    assert said.shape == (12, 4, 4)
    head.ask = lambda sight, allowed: (100 * nn.functional.one_hot(said, 4).float()).unbind(2)
    found = head.predict(sight, [{}, {}], None)
    assert torch.equal(found[:, :, 1::4, 1::4].argmax(1), pixels)


def test_weights_load_under_the_authors_names():
    first, second = detector(0), detector(0)
    names = (
        ('backbone.backbone.patch_embed.patches.proj.', 'backbone.patch_embed.projection.'),
        ('backbone.backbone.patch_embed.positions.table', 'backbone.pos_embed'),
        ('backbone.backbone.blocks.', 'backbone.layers.'),
        ('.norm1.', '.ln1.'),
        ('.norm2.', '.ln2.'),
        ('.mlp.fc1.', '.ffn.layers.0.0.'),
        ('.mlp.fc2.', '.ffn.layers.1.'),
        ('backbone.words.words.', 'embed.word_embeddings.'),
        ('backbone.words.positions.', 'embed.position_embeddings.'),
        ('backbone.words.norm.', 'embed.LayerNorm.'),
    )
    theirs = {}
    for key, value in first.state_dict().items():
        for ours, name in names:
            key = key.replace(ours, name)
        theirs[key] = value + 1
    left = second.load_state_dict(theirs)
    assert not left.missing_keys
    assert not left.unexpected_keys
    assert torch.equal(second.backbone.words.words.weight, first.backbone.words.words.weight + 1)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match='pad_size_divisor=16'):
        build()(torch.randn(1, 3, 40, 32))
    with pytest.raises(ValueError, match='task'):
        build('counting')
    with pytest.raises(ValueError, match='need names'):
        build(vocabulary='vocab.txt')
    with pytest.raises(ValueError, match='ends in windows'):
        build(backbone={**SMALL, 'arch': {**SMALL['arch'], 'global_blocks': (2,)}})
    with pytest.raises(ValueError, match='must divide 360'):
        MODELS.build(dict(type='denseformer.GiTDetectionHead', num_classes=2, rays=7))
    with pytest.raises(ValueError, match='points in a window'):
        MODELS.build(dict(type='denseformer.GiTDetectionHead', num_classes=2, grid=(2, 2), sampled=5))
