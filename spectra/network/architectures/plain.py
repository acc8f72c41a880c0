"""What layers without normalisation have in common: every example goes through by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .architecture import Drift, Level

if TYPE_CHECKING:
    from ..config import LayerSpec
    from ..resolve import ResolvedRun


class Plain:
    """φ takes x or W x + b as they are."""

    multiplies = True
    carries_signal = True

    def notes(self, spec: LayerSpec) -> tuple[str, ...]:
        """Return nothing: what there is to say is said of the whole network."""
        return ()

    def lacks(self, spec: LayerSpec) -> str:
        """Return nothing."""
        return ""

    def state(self, spec: LayerSpec, q: float, level: Level) -> float:
        """What φ takes."""
        return q

    def hidden(self, spec: LayerSpec, q: float, level: Level) -> tuple[float, ...]:
        """Return nothing: one matrix of weights."""
        return ()

    def drift(self, spec: LayerSpec, level: Level) -> Drift | None:
        """Return nothing: no φ after a sum."""
        return None

    def effect(self, spec: LayerSpec) -> str:
        """Return nothing."""
        return ""

    def torch(self, spec: LayerSpec) -> str:
        """Return nothing."""
        return ""

    def batch(self, spec: LayerSpec, width: int) -> int:
        """One example at a time."""
        return 1

    def whole_batch(self, spec: LayerSpec) -> bool:
        """No."""
        return False

    def rest(self, run: ResolvedRun) -> Level | None:
        """Return nothing: of dense layers the variance map says where q rests, in blocks x is added to."""
        return None
