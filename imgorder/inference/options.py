"""Which model orders the photos, what runs it, and in how many listings it sees each set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgorder.inference.cards import Card
    from imgorder.inference.predictor import OrderingModel


@dataclass(frozen=True)
class ModelOptions:
    """How a model is asked.

    Attributes:
        model: a name from `imgorder models`, ``"default"``, or the path of a model file.
        backend: ``"auto"``, ``"onnx"`` or ``"torch"``, as `load_model` takes it.
        threads: CPU threads; all cores if None.
        votes: in how many listings the network is shown each set, see `OrderingModel.with_votes`; if None, as
            many as it was released with.
    """

    model: str = "default"
    backend: str = "auto"
    threads: int | None = None
    votes: int | None = None

    def load(self, card: Card | None = None) -> OrderingModel:
        """The model, ready to be asked; raises as `load_model` does.

        Args:
            card: the model's card, if it was read already.
        """
        from imgorder.inference.predictor import load_model

        model = load_model(card or self.model, self.backend, self.threads)
        return model if self.votes is None else model.with_votes(self.votes)
