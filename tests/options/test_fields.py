"""Flags, help and signatures follow from a dataclass."""

import argparse
import inspect
from dataclasses import dataclass, fields

import pytest

from denseformer.engine import launch
from denseformer.inference.predictor import Predictor
from denseformer.inference.run import predict_folder
from denseformer.options import (
    EvaluationOptions,
    PredictionOptions,
    RunOptions,
    TrainOptions,
    add_options,
    option,
    options_from,
    takes_options,
)


@dataclass(frozen=True, kw_only=True)
class Choices:
    size: int | None = option(None, 'how large', parse=int)
    fast: bool = option(False, 'hurry')
    names: tuple[str, ...] = option((), 'which')


@takes_options(Choices)
def work(place, options: Choices = Choices()):
    """Do it."""
    return place, options


def parsed(cls, *arguments):
    parser = argparse.ArgumentParser()
    add_options(parser, cls)
    return options_from(cls, parser.parse_args(arguments))


@pytest.mark.parametrize('cls', [PredictionOptions, RunOptions, TrainOptions, EvaluationOptions, Choices])
def test_a_line_without_flags_is_the_dataclass_without_arguments(cls):
    assert parsed(cls) == cls()


def test_flags_become_fields():
    assert parsed(Choices, '--size', '3', '--fast', '--names', 'a', 'b') == Choices(size=3, fast=True, names=['a', 'b'])
    assert parsed(TrainOptions, '--resume').resume is True
    assert parsed(TrainOptions, '--resume', 'a.pth', '--amp') == TrainOptions(resume='a.pth', amp='bf16')
    assert parsed(PredictionOptions, '--batch-size', 'auto', '--tile', '512') == PredictionOptions(
        batch_size=None, tile=512
    )
    lines = '--cfg-options', 'a.b=1', 'c=x y', '--cfg-options', 'd=none'
    assert str(parsed(TrainOptions, *lines).cfg_options) == "{'a.b': 1, 'c': 'x y', 'd': REMOVE}"


def test_help_stands_at_every_flag(capsys):
    parser = argparse.ArgumentParser()
    add_options(parser, PredictionOptions)
    text = ' '.join(parser.format_help().split())
    assert all(' '.join(field.metadata['option'].help.split()) in text for field in fields(PredictionOptions))


def test_a_function_takes_the_fields_by_name():
    assert work(1, size=2) == (1, Choices(size=2))
    assert work(1, Choices(fast=True), size=2) == (1, Choices(fast=True, size=2))
    assert work(place=1, options=Choices(size=5)) == (1, Choices(size=5))
    assert list(inspect.signature(work).parameters) == ['place', 'options', 'size', 'fast', 'names']
    assert inspect.signature(work).parameters['size'].annotation == int | None
    assert 'size (None): how large.' in work.__doc__


@pytest.mark.parametrize('function', [launch.train, launch.evaluate, predict_folder, Predictor.__init__])
def test_options_may_be_left_out(function):
    assert inspect.signature(function).parameters['options'].default is not inspect.Parameter.empty


def test_a_misspelt_option_is_refused_with_the_nearest_name():
    with pytest.raises(TypeError, match=r"work takes no argument 'sise'. Did you mean 'size'\?"):
        work(1, sise=2)
    with pytest.raises(TypeError, match=r"Did you mean 'tile'"):
        Predictor('config.py', tyle=512)


def test_the_predictor_lists_its_options():
    parameters = inspect.signature(Predictor).parameters
    assert [*parameters][:3] == ['config', 'checkpoint', 'options']
    assert {field.name for field in fields(PredictionOptions)} <= parameters.keys()
    assert 'overlap (None): overlap of neighboring tiles' in Predictor.__init__.__doc__
