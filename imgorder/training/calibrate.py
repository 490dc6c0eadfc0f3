"""Confidences that can be believed: temperatures fitted on clips that were kept out of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from imgorder.evaluation.metrics import expected_calibration_error
from imgorder.inference.backends.views import mean_over_views
from imgorder.inference.backends.voting import choose_listings, listings_of_views, mean_logits
from imgorder.media.preprocess import DEFAULT, Preprocessing
from imgorder.permutations import class_count
from imgorder.training.batch_plan import plan_held_out
from imgorder.training.pixels import crop_images, normalise
from imgorder.training.sources import find_even_windows
from imgorder.training.store import FrameStore

BATCH = 8
SPACINGS = (1, 2, 3, 4, 6, 8, 12, 16, 24)

# Calibration errors that do not differ by more count as equal.
AS_GOOD = 0.002


def compute_held_out_logits(
    network: nn.Module,
    store: FrameStore,
    clips: Sequence[int],
    n: int,
    spec: Preprocessing = DEFAULT,
    spacings: Sequence[int] = SPACINGS,
    steady: bool = False,
    votes: int = 1,
) -> tuple[Tensor, Tensor]:
    """What a network says of evenly spaced sets of clips kept out of training, in one random listing each.

    Args:
        network: in evaluation mode, on the CPU.
        store: of the clips.
        clips: places in it.
        n: images of a set.
        spec: how photos become the network's input.
        spacings: in frames.
        steady: whether it is shown each set twice; see `imgorder.media.steady`.
        votes: in how many listings it is shown each set, for one answer.

    Returns:
        Logits ``(N, n!/2)`` and the right classes, int64 ``(N,)``.
    """

    def ask(view: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            return network(torch.from_numpy(view)).numpy()  # type: ignore[no-any-return]

    sets = np.concatenate([find_even_windows(store, clips, n, spacing) for spacing in spacings])
    logits, target = [torch.empty(0, class_count(n))], [torch.empty(0, dtype=torch.int64)]  # where there are no sets
    for plan in plan_held_out(store, sets, spec, BATCH):
        images = normalise(torch.from_numpy(crop_images(store, plan))).numpy()
        if steady:
            asked = mean_over_views(ask, images, spec, listings_of_views(n, votes))
        else:
            asked = mean_logits(ask, images, choose_listings(n, votes))
        logits.append(torch.from_numpy(asked))
        target.append(torch.from_numpy(plan.target))
    return torch.cat(logits), torch.cat(target)


def fit_temperature(logits: Tensor, target: Tensor) -> float:
    """The divisor of the logits that makes the expected calibration error of the confidences least.

    That error is what the tables promise. Cross-entropy would follow the few sets that no network can order,
    and make the network less sure of all others than it may be. To count every source the same was tried:
    on sources that were left out of the fit it did worse.

    Args:
        logits: ``(N, n!/2)``.
        target: the right classes, ``(N,)``.
    """
    hits = (logits.argmax(1) == target).numpy()
    candidates = np.geomspace(0.2, 5, 323)
    errors = np.array(
        [
            expected_calibration_error(torch.softmax(logits / t, dim=1).amax(1).double().numpy(), hits)
            for t in candidates.tolist()
        ]
    )
    # The error jumps where sets change bins; the middle of the best and all beside it that are as good is steadier.
    first = last = int(errors.argmin())
    good = errors <= errors.min() + AS_GOOD
    while first > 0 and good[first - 1]:
        first -= 1
    while last + 1 < len(good) and good[last + 1]:
        last += 1
    return round(float(np.exp(np.log(candidates[first : last + 1]).mean())), 4)
