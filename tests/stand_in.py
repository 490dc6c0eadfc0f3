"""A backend for tests, of which each test writes what it needs."""

from __future__ import annotations

from typing import Any


class StandIn:
    """A stand-in for a network. What a test does not write must not be asked for."""

    name = "stand-in"

    def logits(self, tensors: Any) -> Any:
        raise AssertionError("nothing here asks for logits")

    def activations(self, tensors: Any) -> Any:
        raise AssertionError("nothing here asks for activations")

    def decision(self, tensors: Any, winner: Any, other: Any) -> Any:
        raise AssertionError("nothing here asks for a decision")
