"""The layers of a network whose variances can be followed: those whose Jacobian is D W."""

from __future__ import annotations

from ..errors import ConfigError
from ..network.architectures import architecture_of
from ..network.config import LayerSpec
from ..network.meanfield import MeanField


def product_layers(state: MeanField) -> list[LayerSpec]:
    """The description of every layer, one after the other.

    Raises
    ------
    ConfigError : a layer of another kind.
    """
    specs = [run.spec for run in state.runs for _ in range(run.repeat)]
    for spec in specs:
        if not architecture_of(spec).is_product:
            raise ConfigError(f'`kind = "{spec.kind}"`: variances are followed through layers of kind "dense" alone.')
    return specs
