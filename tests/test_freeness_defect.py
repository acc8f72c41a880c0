"""The estimate of how far the free formula is off, against densities by freeness over diagonal matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spectra import Network
from spectra.correlated.free_product import free_law, freeness_defect
from spectra.correlated.law import block_law
from spectra.correlated.layers import Layer
from spectra.correlated.network import layers_of
from spectra.correlated.solved import levels_of
from spectra.network.meanfield import mean_field

LEAKY = {"name": "leaky_relu", "negative_slope": 0.3}
STEM: dict[str, Any] = {"kind": "dense", "activation": LEAKY, "sigma_w": 1.0}
HAAR: dict[str, Any] = {"kind": "dense", "activation": "identity", "sigma_w": 1.0, "weights": "orthogonal"}


def blocks(alpha: float, repeat: int) -> dict[str, Any]:
    table = {"kind": "residual", "order": "post", "activation": "relu", "sigma_w": 1.0}
    return table | {"alpha": alpha, "repeat": repeat}


def layers(*tables: dict[str, Any]) -> list[Layer]:
    return layers_of(mean_field(Network(layers=list(tables), input_variance=1.0)))


def deviation(found: list[Layer]) -> float:
    free, other = free_law(found).spectrum, block_law(found).spectrum
    u = levels_of(other)
    return float(np.max(np.abs(np.exp(free.log_density_at(u) - other.log_density_at(u)) - 1.0)))


@pytest.mark.parametrize(
    "tables",
    [(blocks(0.5, 4),), (STEM, blocks(0.25, 1)), (STEM, blocks(0.35, 2)), (blocks(0.5, 2), STEM)],
)
def test_the_defect_is_that_of_the_density(tables: tuple[dict[str, Any], ...]) -> None:
    found = layers(*tables)
    off = deviation(found)
    assert off > 1e-4
    assert off / 2.0 < freeness_defect(found) < off * 2.0


def test_after_orthogonal_layers_the_defect_is_no_underestimate() -> None:
    """Slopes of 1 and 0.3 leave bulks by themselves: 0.069 there, at one quantile."""
    found = layers(STEM | {"weights": "orthogonal"}, blocks(0.5, 1))
    assert 0.01 < deviation(found) < freeness_defect(found) <= 1.0


@pytest.mark.parametrize("tables", [(blocks(0.5, 1), HAAR, blocks(0.5, 1)), (blocks(0.5, 1), STEM)])
def test_a_layer_without_a_skip_makes_what_is_before_it_free(tables: tuple[dict[str, Any], ...]) -> None:
    found = layers(*tables)
    assert freeness_defect(found) == 0.0
    assert deviation(found) < 1e-9
