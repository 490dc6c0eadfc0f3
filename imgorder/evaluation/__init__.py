"""Judging ordering models on sets whose order is known."""
