"""Kinds of layer, one file each: forward map, layer Jacobian, mean field. Nothing else knows what a kind does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ConfigError
from .architecture import Architecture as Architecture
from .architecture import Level as Level
from .architecture import Signal as Signal
from .dense import Dense
from .residual import Residual

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config import LayerSpec

ARCHITECTURES: dict[str, Architecture] = {"dense": Dense(), "residual": Residual()}


def architecture_of(spec: LayerSpec) -> Architecture:
    """What layers of this kind do."""
    return ARCHITECTURES[spec.kind]


def are_products(specs: Iterable[LayerSpec]) -> bool:
    """Whether the Jacobian of every layer is D W, so that free products are all there is to it."""
    return all(architecture_of(spec).is_product for spec in specs)


def refuse_but_products(specs: Iterable[LayerSpec]) -> None:
    """Raise `ConfigError` where a layer's Jacobian is no product D W, which exact series and proofs need."""
    for spec in specs:
        if not architecture_of(spec).is_product:
            raise ConfigError(
                f'`kind = "{spec.kind}"`: exact series, proofs and more digits are of networks of dense layers; '
                "`spectra predict` has this one in doubles."
            )
