"""The compiled march along a bulk, and its tables of densities, against the sweep and the densities themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from networks import SOME_OF_EACH, equation_of, golden_layers

from spectra import between_atoms
from spectra.activations import get_activation
from spectra.compiled import CompiledEquation
from spectra.laws.pushforward import slope_law
from spectra.master import Factor, MasterEquation
from spectra.native import NATIVE
from spectra.survey import survey
from spectra.walker import Survey

needs_compiler = pytest.mark.skipif(NATIVE is None, reason="installed without a compiler")


def with_and_without(
    method: str, steps: Callable[[Any], int], layers: Any, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, Survey, Survey]:
    """Steps that a method of the compiled equation made, what was found with it, and without."""
    made, whole = 0, getattr(CompiledEquation, method)

    def counted(self: CompiledEquation, *args: Any) -> Any:
        nonlocal made
        found = whole(self, *args)
        made += steps(found) if found is not None else 0
        return found

    monkeypatch.setattr(CompiledEquation, method, counted)
    one = survey(equation_of(layers))
    monkeypatch.setattr(CompiledEquation, method, lambda *_: None)
    return made, one, survey(equation_of(layers))


@needs_compiler
@pytest.mark.parametrize("name", SOME_OF_EACH)
def test_a_march_is_a_sweep_step_by_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    marched, one, other = with_and_without("march", lambda found: len(found[0]), golden_layers(name), monkeypatch)
    assert marched > 5
    assert one.steps == other.steps
    assert len(one.arcs) == len(other.arcs)
    for a, b in zip(one.arcs, other.arcs, strict=True):
        # Step by step from one solution, good to 1e-6, to the next: alike, not equal to the last digit.
        np.testing.assert_allclose(a.log_u, b.log_u, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(a.zeta, b.zeta, rtol=1e-8)
        np.testing.assert_allclose(a.v, b.v, rtol=1e-8)
        np.testing.assert_allclose(a.rates, b.rates, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(a.turns, b.turns, rtol=1e-6, atol=1e-12)
        assert a.fading == pytest.approx(b.fading, rel=1e-6)


@needs_compiler
@pytest.mark.parametrize("name", SOME_OF_EACH)
def test_strides_along_a_gap_are_those_of_the_sweep(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = golden_layers(name)
    made, one, other = with_and_without("stride", lambda found: found[0], layers, monkeypatch)
    if equation_of(layers).factors and not between_atoms.applies(equation_of(layers)):
        assert made > 0
    assert one.steps == other.steps
    assert [a.low_u for a in one.arcs] == pytest.approx([a.low_u for a in other.arcs], rel=1e-13)
    assert np.array(one.atoms) == pytest.approx(np.array(other.atoms), rel=1e-12)


@needs_compiler
@pytest.mark.parametrize("name", ["tanh", "elu", "softsign"])
def test_tables_of_densities_are_read_alike(name: str) -> None:
    """Just above the cut, where Im ψ is next to nothing beside Re ψ, by C from the tables and by Python."""
    assert NATIVE is not None
    law = slope_law(get_activation(name), 1.0)
    density = law.cut_density
    assert density is not None
    equation = MasterEquation(((1.0, -1.0),), (Factor(law, 1.0, 3.0),))
    handle, zeta = equation.compiled._handle, 0.3 + 0.1j  # type: ignore[union-attr]
    v = np.geomspace(1.02 / law.largest, 0.98 / max(law.smallest, 1e-9 * law.largest), 400)
    asked = [x for x in v if NATIVE.spot(handle, zeta, [complex(x)], None, 0.0) is True]
    assert len(asked) > 20
    known = [NATIVE.spot(handle, zeta, [complex(x)], np.array([density.near(x)]), 0.0) for x in asked]
    NATIVE.cut(handle, 0, density.tables())
    for x, one in zip(asked, known, strict=True):
        other = NATIVE.spot(handle, zeta, [complex(x)], None, 0.0)
        np.testing.assert_allclose(np.hstack(other), np.hstack(one), rtol=1e-11)
        assert density.near(x) == pytest.approx(density(np.array([x]))[0], rel=1e-3)


@needs_compiler
def test_wrong_tables_and_marches_are_refused() -> None:
    assert NATIVE is not None
    law = slope_law(get_activation("tanh"), 1.0)
    equation = MasterEquation((), (Factor(law, 1.0, 2.0),))
    assert equation.compiled is not None
    handle = equation.compiled._handle
    with pytest.raises(ValueError, match="no factor 1"):
        NATIVE.cut(handle, 1, [])
    with pytest.raises(TypeError, match="format"):
        NATIVE.cut(handle, 0, [np.zeros((3, 4), complex)])
    with pytest.raises(ValueError, match="three rows"):
        NATIVE.cut(handle, 0, [np.zeros(4)])
    with pytest.raises(TypeError, match="march"):
        NATIVE.march(handle, 0.0)
    with pytest.raises(TypeError, match="tuple"):
        NATIVE.march(handle, 0.0, 0.3 + 0.1j, [0.3 + 0.1j], 1.0, 0.0, None, np.zeros(1), np.zeros(7, complex))
    with pytest.raises(ValueError, match="order"):
        NATIVE.table(np.arange(8.0, 0.0, -1.0) + 0j, np.ones(8, complex))
