"""From a folder to a trained model: rules choose a recipe, which is written as a config and trained as any other."""

from denseformer.fitting.fitting import fit
from denseformer.fitting.rules import Facts, Recipe, choose

__all__ = ['Facts', 'Recipe', 'choose', 'fit']
