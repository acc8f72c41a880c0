"""The whole law of a network that advice is about, where that takes seconds."""

from __future__ import annotations

from ..correlated.network import blocks_to_solve
from ..errors import ConfigError, ConvergenceError
from ..network.architectures import are_free
from ..network.config import Network
from ..network.meanfield import mean_field
from ..prediction import Prediction, predict

# Blocks to solve an equation of: the spectrum of so many takes some five seconds of one core, and of more as many more.
MOST_BLOCKS = 32


def too_many_blocks(net: Network) -> str | None:
    """Why a spectrum of `net` takes long; None where it does not, or where there is none at all.

    Raises
    ------
    ConfigError : as `mean_field`, and where blocks are not predicted.
    """
    if are_free(net.layers):
        return None
    count = blocks_to_solve(mean_field(net))
    if count <= MOST_BLOCKS:
        return None
    return f"{count} blocks, whose slopes depend on each other, take long; `spectra predict` computes it"


def full_law(net: Network) -> tuple[Prediction | None, str | None]:
    """The prediction, or why there is none."""
    try:
        why = too_many_blocks(net)
        if why is not None:
            return None, f"not computed: {why}"
        return predict(net), None
    except (ConfigError, ConvergenceError) as failure:
        return None, str(failure)
