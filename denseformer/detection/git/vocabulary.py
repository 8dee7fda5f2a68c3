"""GiT's words: names of classes, numbers and tasks as vectors, made of BERT's pieces of words or learned by themselves.

Legend: C channels, V words, P pieces of a word.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

PIECES, POSITIONS = 30524, 512
"""Rows of the authors' tables: BERT's pieces and two signs of captions; the longest sequence."""
SEMANTIC = 'semantic_segmentation'
TASKS = ('detection', 'instance_segmentation', SEMANTIC)


def split_words(text: str) -> list[str]:
    """As BERT does it: in lower case, without accents, punctuation by itself."""
    letters = unicodedata.normalize('NFD', text.lower())
    words = ['']
    for letter in letters:
        if unicodedata.category(letter) == 'Mn':
            continue
        if letter.isspace():
            words.append('')
        elif letter.isalnum():
            words[-1] += letter
        else:
            words += [letter, '']
    return [word for word in words if word]


def pieces_of(text: str, numbers: Mapping[str, int]) -> list[int]:
    """The numbers of BERT's pieces of a text: of each word the longest known beginning, again and again."""
    found = []
    for word in split_words(text):
        start = 0
        pieces = []
        while start < len(word):
            for stop in range(len(word), start, -1):
                number = numbers.get(('##' if start else '') + word[start:stop])
                if number is not None:
                    break
            else:
                pieces = [numbers['[UNK]']]
                break
            pieces.append(number)
            start = stop
        found += pieces
    return found


def read_pieces(path: str) -> dict[str, int]:
    try:
        lines = Path(path).read_text('utf-8').splitlines()
    except OSError as error:
        raise ValueError(
            f"vocabulary='{path}' cannot be read ({error}): give the path of BERT's vocab.txt (bert-base-uncased), or "
            'None for words that are learned by themselves.'
        ) from error
    return {piece: number for number, piece in enumerate(lines)}


def listed_names(class_names: Sequence[str] | str | int, task: str) -> list[str] | int:
    if isinstance(class_names, int):
        return class_names
    if not isinstance(class_names, str):
        return list(class_names)
    if task == SEMANTIC:
        from mmseg.utils import get_classes
    else:
        from mmdet.evaluation import get_classes
    return list(get_classes(class_names))


class Vocabulary(BaseModule):
    """The vectors of words, and of words in a sequence.

    Args:
        dim: C.
        The others are described in `GiT`.

    Words stand in this order: the numbers, the classes, and last what is none of them, which is minus the mean of the
    classes.
    """

    def __init__(
        self,
        dim: int,
        class_names: Sequence[str] | str | int,
        *,
        task: str,
        num_bins: int | None,
        vocabulary: str | None,
        dropout: float,
        words_from: str | None,
    ):
        super().__init__(None if words_from is None else dict(type='Pretrained', checkpoint=words_from))
        if task not in TASKS:
            raise ValueError(f"task='{task}' is none of {', '.join(TASKS)}.")
        names = listed_names(class_names, task)
        if vocabulary is not None and isinstance(names, int):
            raise ValueError('Words that are made of pieces need names: give class_names, one for each class.')
        self.num_bins = num_bins
        self.num_classes = names if isinstance(names, int) else len(names)
        self.vocabulary = vocabulary
        numbers = 0 if num_bins is None else num_bins + 1
        own = None if vocabulary is not None else torch.arange(1, numbers + self.num_classes + 2)[:, None]
        self.register_buffer('pieces', own, persistent=False)
        self.texts = () if isinstance(names, int) else (*map(str, range(numbers)), *names, task)
        count = PIECES if own is None else len(own) + 1
        self.words = nn.Embedding(count, dim, padding_idx=0)
        self.positions = nn.Embedding(POSITIONS, dim)
        self.norm = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.positions.weight, std=0.02)
        nn.init.normal_(self.words.weight, std=0.02 if own is None else dim**-0.5)
        if vocabulary is not None:
            self.piece_positions = nn.Embedding(POSITIONS, dim)
            self.attn = nn.MultiheadAttention(dim, 8, batch_first=True)
            nn.init.xavier_uniform_(self.piece_positions.weight)

    pieces: Tensor | None
    """(V, P) numbers of the pieces of each word but the last, and of the task behind them; 0 where there are fewer."""

    def init_weights(self) -> None:
        super().init_weights()
        self.known_pieces()  # reports a file that is missing before training

    def known_pieces(self) -> Tensor:
        """`pieces`, read from the vocabulary when they are first asked for."""
        if self.pieces is None:
            numbers = read_pieces(str(self.vocabulary))
            found = [pieces_of(text, numbers) for text in self.texts]
            longest = max(map(len, found))
            self.pieces = torch.tensor([row + [0] * (longest - len(row)) for row in found])
            self.pieces = self.pieces.to(self.words.weight.device)
        return self.pieces

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The words (V, C) and the task (C,)."""
        known = self.known_pieces()
        found = self.words(known[:, 0])
        several = known[:, 1:2].ne(0).any(1)
        if several.any():
            pieces = known[several]  # (m, P)
            values = self.words(pieces)
            placed = values + self.piece_positions.weight[1 : 1 + pieces.shape[1]]
            joined, _ = self.attn(placed, placed, values, key_padding_mask=pieces == 0, need_weights=False)
            found = found.index_put((several.nonzero()[:, 0],), joined[:, 0])
        words, task = found[:-1], found[-1]
        nothing = -words[-self.num_classes :].mean(0, keepdim=True)
        return torch.cat([words, nothing]), task

    def embed(self, vectors: Tensor, start: int) -> Tensor:
        """Vectors (..., L, C) as tokens of sequences, of which `start` stand in front of them."""
        places = self.positions.weight[start : start + vectors.shape[-2]]
        return self.dropout(self.norm(vectors + places))
