"""What normalises the signals of a layer: which statistics it divides by, and where it stands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..wording import refusal

NORMALISATIONS = ("batch", "layer", "rms")
POSITIONS = ("before", "after", "sum")
WORDS = {"batch": "batch norm", "layer": "layer norm", "rms": "RMS norm"}
_PLACES = {"before": "before φ", "after": "after φ", "sum": "after the sum"}


@dataclass(frozen=True)
class Normaliser:
    """y → γ (y − centre)/√(spread² + ε).

    Parameters
    ----------
    name : "batch", every neuron by its mean and variance over the batch; "layer", every example by those over its
        neurons; "rms", every example by its mean square over neurons, nothing subtracted.
    position : "before" φ, "after" it, or after the "sum" of a residual block.
    batch : size of the batch whose statistics they are; None for large ones.
    gain, epsilon : γ and ε.
    """

    name: str
    position: str = "before"
    batch: int | None = None
    gain: float = 1.0
    epsilon: float = 0.0

    @property
    def over_batch(self) -> bool:
        """Whether examples see each other."""
        return self.name == "batch"

    @property
    def whole_batch(self) -> bool:
        """Whether Jacobians are those of all examples by all inputs, derivatives of the statistics included."""
        return self.batch is not None

    def spread(self, second: float, mean: float, shared: float) -> float:
        """Square that is divided by, ε left out: of E y², E y over neurons, and E y_i y_j over pairs of the batch."""
        taken = {"batch": shared, "layer": mean * mean, "rms": 0.0}[self.name]
        return max(second - taken, 0.0)

    def scale2(self, spread: float) -> float:
        """γ²/(spread + ε); infinite of a signal without any."""
        under = spread + self.epsilon
        return self.gain**2 / under if under > 0.0 else math.inf

    def mean(self, mean: float, spread: float) -> float:
        """E of what comes out."""
        return mean * math.sqrt(self.scale2(spread)) if self.name == "rms" else 0.0

    def details(self) -> str:
        """In words, to end a list with."""
        size = "" if not self.over_batch else " of large batches" if self.batch is None else f" of {self.batch}"
        gain = f", γ = {self.gain:.6g}" if self.gain != 1.0 else ""
        return f", {WORDS[self.name]}{size} {_PLACES[self.position]}{gain}"

    def to_dict(self) -> str | dict[str, Any]:
        """Value of the key `normalise` that gives this, defaults left out."""
        plain = Normaliser(self.name)
        table = {key: value for key, value in vars(self).items() if value != getattr(plain, key)}
        return {"name": self.name, **table} if table else self.name


def normaliser_of(value: str | Mapping[str, Any] | None, path: str, kind: str) -> Normaliser | None:
    """What a checked value of the key `normalise` means in a layer of this kind.

    Raises
    ------
    ConfigError : keys that do not go together.
    """
    if value is None:
        return None
    table: dict[str, Any] = {"name": value} if isinstance(value, str) else dict(value)
    if table["name"] != "batch" and "batch" in table:
        wrong = f'goes only with `name = "batch"`; {WORDS[table["name"]]} takes every example by itself'
        raise refusal(f"{path}normalise.batch", table["batch"], wrong)
    if table.get("position") == "sum" and kind != "residual":
        raise refusal(f"{path}normalise.position", "sum", f'goes only with `kind = "residual"`; here kind is "{kind}"')
    if table.get("batch") is not None and table.get("position", "before") != "before":
        wrong = 'is known of batches of any size "before" φ alone; leave `batch` out for large ones'
        raise refusal(f"{path}normalise.position", table["position"], wrong)
    return Normaliser(**table)
