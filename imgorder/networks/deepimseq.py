"""DeepImSeq: each image to its place in time by LSTMs over the images' vectors, to compare with.

After G. Kanojia and S. Raman, "DeepImSeq: Deep image sequencing for unsynchronized cameras", 2019.

From the literature: a network with LSTMs, trained as a whole, that maps a sequence to a sequence: in go
the images, out comes for each image its position in the ordered sequence. It learned better with the
target sequence reversed.

Neither its abstract nor the paper of DAB says: the encoder, the number and size of the LSTMs,
what the second one reads, or in what sense the target is reversed.

Ours: the small residual encoder; one LSTM that reads the vectors in input order and a second one that
starts from its state, reads them again and gives each image n scores, one for each position. "Reversed"
is taken as usual for such networks: the second LSTM answers for the last image first, so that what was
read last is asked first. And the logits of classes: the original names n positions, and an order and
its reverse are two answers, where here they are one class (`class_logits`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from imgorder.networks.encoder import Encoder
from imgorder.permutations import permutation_classes


@dataclass(frozen=True)
class DeepImSeqConfig:
    """Shape of a DeepImSeq network.

    Attributes:
        seq_len: n, the images of a set.
        width: factor on the encoder's channels.
        grid: cells to a side in which the encoder averages its last map.
        hidden: features of each LSTM's state.
        reverse_target: whether the second LSTM goes from the last image to the first.
    """

    seq_len: int = 4
    width: float = 1.0
    grid: int = 2
    hidden: int = 512
    reverse_target: bool = True


class DeepImSeq(nn.Module):
    """Images of one scene to logits of their permutation classes, for the one n of the config.

    ``(B, n, 3, 112, 112) -> (B, n!/2)``; other sizes of image work as well.

    Raises:
        ValueError: if the config's n, width or grid is out of range.
    """

    entries: Tensor

    def __init__(self, config: DeepImSeqConfig | None = None) -> None:
        super().__init__()
        self.config = config or DeepImSeqConfig()
        n, hidden = self.config.seq_len, self.config.hidden
        self.register_buffer("entries", table_entries(n), persistent=False)
        self.encoder = Encoder(self.config.width, self.config.grid)
        self.read = nn.LSTM(self.encoder.size, hidden, batch_first=True)
        self.answer = nn.LSTM(self.encoder.size, hidden, batch_first=True)
        self.score = nn.Linear(hidden, n)

    def forward(self, images: Tensor) -> Tensor:
        return class_logits(self.position_scores(images), self.entries)

    def position_scores(self, images: Tensor) -> Tensor:
        """Scores s[t, i] of "image i is the t-th in time", ``(B, n, 3, 112, 112) -> (B, n, n)``.

        A softmax over t gives the distribution of image i over the positions.
        """
        n = self.config.seq_len
        if images.shape[1] != n:
            raise ValueError(f"this network orders {n} images, not {images.shape[1]}")
        vectors = self.encoder(images.flatten(0, 1)).unflatten(0, (-1, n))
        _, state = self.read(vectors)
        backwards = self.config.reverse_target
        answers, _ = self.answer(vectors.flip(1) if backwards else vectors, state)
        by_image = self.score(answers.flip(1) if backwards else answers)
        scores: Tensor = by_image.transpose(1, 2)
        return scores


def table_entries(n: int) -> Tensor:
    """Entries t·n + order[t] of the n × n table of scores for the orders of all classes.

    Returns:
        int64 ``(2, n!/2, n)``: for the representatives, then for their reverses.
    """
    orders = torch.tensor(permutation_classes(n))
    return torch.stack([orders, orders.flip(1)]) + n * torch.arange(n)


def class_logits(scores: Tensor, entries: Tensor) -> Tensor:
    """Logits of classes from scores of positions.

    An order scores Σ_t s[t, order[t]]; a class has the log-sum-exp over its order and the reverse. A
    softmax over these gives each class its chance under the images' distributions over positions, taken as
    independent, given that no two images share a position: the distributions' normalisers are the same in
    every order and cancel, so raw scores serve.

    Args:
        scores: s[t, i], ``(B, n, n)``.
        entries: of `table_entries`.

    Returns:
        ``(B, n!/2)``, float32 for half precision.
    """
    if scores.dtype in (torch.float16, torch.bfloat16):
        scores = scores.float()
    chosen = scores.flatten(1).index_select(1, entries.flatten())
    by_order = chosen.reshape(-1, *entries.shape).sum(dim=3)  # (B, 2, n!/2)
    return by_order.logsumexp(dim=1)
