"""Models: their cards, where their files are, and what runs them."""
