"""The whole law of a network that advice is about, where that takes seconds."""

from __future__ import annotations

from ..correlated.network import matrices_to_solve
from ..errors import ConfigError, ConvergenceError, UnboundedError
from ..network.architectures import are_free
from ..network.config import Network
from ..network.meanfield import mean_field
from ..prediction import Prediction, predict

# Weight matrices in one equation: where there are so many a spectrum takes some five to ten seconds of one core.
MOST = 32


def takes_long(net: Network) -> str | None:
    """Why a spectrum of `net` takes long; None where it does not, or where there is none at all.

    Raises
    ------
    ConfigError : where blocks are not predicted.
    """
    if are_free(net.layers):
        return None
    try:
        count = matrices_to_solve(mean_field(net))
    except UnboundedError:
        # Tuning looks elsewhere.
        return None
    if count <= MOST:
        return None
    return f"one equation with the {count} weight matrices of all blocks takes long; `spectra predict` solves it"


def full_law(net: Network) -> tuple[Prediction | None, str | None]:
    """The prediction, or why there is none."""
    try:
        why = takes_long(net)
        if why is not None:
            return None, f"not computed: {why}"
        return predict(net), None
    except (ConfigError, ConvergenceError) as failure:
        return None, str(failure)
