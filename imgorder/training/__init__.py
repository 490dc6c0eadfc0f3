"""Training: clips to sets, sets to weights, weights to a released model. Needs ``imgorder[train]``."""
