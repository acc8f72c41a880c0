"""Outcomes and errors: what a caller may have done wrong, and what the numerics could not do."""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """Outcome of a numerical procedure; the value is the remedy, ready to show."""

    CONVERGED = "converged"
    MAX_STEPS = "the step limit was reached; raise `max_steps`"
    STALLED = "the residual stopped falling above the tolerance; the point is not certified"
    WRONG_SHEET = "a root was found but its summed arguments are not arg u: it lies on another sheet"


class ConfigError(ValueError):
    """A network description that cannot be used; the message names key, value and what is allowed."""


class UnboundedError(ConfigError):
    """A network that amplifies signals beyond the range of numbers; the message names the layer."""


class UnfollowedError(ConfigError):
    """A network in which the law of a signal is not followed, too weak or too strong a block; the message names α."""


class ConvergenceError(RuntimeError):
    """A numerical procedure failed to reach its tolerance.

    Parameters
    ----------
    message : what was attempted, and the knob to turn.
    residual, tolerance : the residual reached and the one asked for, where they exist.
    """

    def __init__(self, message: str, *, residual: float | None = None, tolerance: float | None = None) -> None:
        if residual is not None:
            message = f"{message} (residual {residual:.2e}, tolerance {tolerance or 0.0:.2e})"
        super().__init__(message)
        self.residual = residual
        self.tolerance = tolerance
