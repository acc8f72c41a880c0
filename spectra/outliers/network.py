"""From mean field to the eigenvalues that lie above the law of JJᵀ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..correlated import BlockEquation, blocks_of
from ..correlated.network import layers_of
from ..errors import ConvergenceError
from ..network.architectures import architecture_of
from .course import passages_of
from .secular import Outlier, outliers

if TYPE_CHECKING:
    from ..network.meanfield import MeanField
    from .passage import Passage

# Nodes of the messages of the equation: outside of the bulk all is smooth.
COUNT = 12


def network_outliers(field: MeanField, edge: float) -> tuple[tuple[Outlier, ...] | None, tuple[str, ...]]:
    """Eigenvalues above λ_+ = `edge`, None where no theory says whether there are any, and notes."""
    passages = marked_passages(field)
    if passages is None:
        mixed = (
            "E x ≠ 0 adds up from block to block, and one eigenvalue of every network may lie above this law: whether "
            "it does, and where, is not known of networks with a normalisation, or with a linear block with a skip "
            "before one that reads x itself or has φ after its sum"
        )
        return None, (mixed,) if _adds_means(field) else ()
    try:
        found = outliers(passages, BlockEquation(blocks_of(layers_of(field)), COUNT), edge, field.leaving.second)
    except ConvergenceError as error:
        return None, (f"not known whether eigenvalues lie above this law ({error})",)
    return found, tuple(map(_said, found))


def marked_passages(field: MeanField) -> list[Passage] | None:
    """`passages_of` where outliers are looked for; None of networks with blocks that read x where no mean adds up.

    There x keeps the mean 0, and of ReLU and tanh no outlier was found in 8 to 64 blocks.
    """
    reading = any(architecture_of(run.spec).reads_state(run.spec) for run in field.runs)
    return passages_of(field) if _adds_means(field) or not reading else None


def _adds_means(field: MeanField) -> bool:
    return any(architecture_of(run.spec).adds_means(run.spec, run.level) for run in field.runs)


def _said(outlier: Outlier) -> str:
    return (
        f"one eigenvalue of every network lies above the law, at λ = {outlier.location:.6g} for infinite width, along "
        f"the signal, whose mean adds up from block to block; of m_k of N neurons it is {outlier.location:.4g}^k/N"
    )
