"""What the doctor proposes for uneven classes."""

from denseformer.inspection.balance import proposals, weights


def pixels(**amounts):
    return {name: {'pixels': amount, 'images': int(amount > 0)} for name, amount in amounts.items()}


def objects(**images):
    return {name: {'objects': 2 * count, 'images': count} for name, count in images.items()}


def test_even_classes_need_nothing():
    assert proposals(pixels(road=100, car=30, sky=80), 9) == []
    assert proposals(objects(a=50, b=40), 90) == []
    assert proposals({}, 9) == proposals(pixels(road=5), 9) == []


def test_classes_of_few_pixels_get_a_loss_and_weights():
    loss, weighted = proposals(pixels(road=10_000, car=400, pole=100, lost=0), 9)
    assert "'road' has 100 times the pixels of 'pole'" in loss
    assert 'losses/dice.py' in loss
    assert 'class_weight=[0.2, 1.0, 2.0, 1.0]' in weighted
    assert weights(pixels(a=1, b=10**6)) == [5.0, 0.71]


def test_one_class_gets_the_head_of_one_logit():
    assert 'upernet_one_logit' in proposals(pixels(background=10_000, crack=100), 9)[1]


def test_classes_of_few_images_are_repeated_and_of_very_few_drawn_one_by_one():
    assert 'RepeatFactorSampler' in proposals(objects(cell=90, platelet=5), 100)[0]
    assert 'ClassAwareSampler' in proposals(objects(cell=900, platelet=5), 1000)[0]
