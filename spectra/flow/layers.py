"""The layers of a network whose variances can be followed: those whose Jacobian is D W."""

from __future__ import annotations

from ..errors import ConfigError
from ..network.architectures import are_products
from ..network.config import LayerSpec
from ..network.meanfield import MeanField


def refuse_but_products(state: MeanField) -> None:
    """Raise `ConfigError` where a layer is of another kind."""
    for run in state.runs:
        if not are_products([run.spec]):
            raise ConfigError(
                f'`{run.spec.unlike_dense}`: variances are followed through plain layers of kind "dense" alone.'
            )


def product_layers(state: MeanField) -> list[LayerSpec]:
    """The description of every layer, one after the other.

    Raises
    ------
    ConfigError : a layer of another kind.
    """
    refuse_but_products(state)
    return [run.spec for run in state.runs for _ in range(run.repeat)]
