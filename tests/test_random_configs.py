"""A seeded slice of benchmarks/random_configs.py: random networks neither crash nor pass a wrong law off as right."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

SOURCE = Path(__file__).parents[1] / "benchmarks" / "random_configs.py"
SEED, COUNT = 20_240, 40


def _load():
    spec = importlib.util.spec_from_file_location("random_configs", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


random_configs = _load()


def generator(index: int) -> np.random.Generator:
    return np.random.default_rng([SEED, index])


@cache
def outcome(index: int):
    rng = generator(index)
    return random_configs.examine(random_configs.random_config(rng), rng, limit=60.0)


@pytest.mark.parametrize("index", range(COUNT))
def test_random_network_is_predicted_or_refused(index):
    # A law that says of itself that it missed its accuracy, or an error that says so, is no lie; a crash, a NaN or a
    # wrong law called certified is, and so is a minute of silence. How many may be unconverged is bounded below.
    found = outcome(index)
    allowed = ("certified", "refused", "uncertified", "unconverged")
    assert found.kind in allowed, f"{found.kind}: {found.detail}: {found.config}"


def test_nearly_every_random_network_is_certified():
    kinds = [outcome(index).kind for index in range(COUNT)]
    # Slow or given up: nets of dozens of distinct gelu-like layers, and gelu-like layers that narrow much.
    missed = sum(kinds.count(kind) for kind in ("uncertified", "unconverged"))
    assert missed <= 0.2 * COUNT, kinds
    assert kinds.count("certified") >= 0.55 * COUNT, kinds


def test_slice_meets_every_kind_of_network():
    configs = [random_configs.random_config(generator(index)) for index in range(COUNT)]
    runs = [run for config in configs for run in config.get("layers", [config])]
    assert {config["weights"] for config in configs} == {"gaussian", "orthogonal"}
    assert any("input_width" in config for config in configs)
    assert any("q_star" in config for config in configs)
    assert any(config["sigma_w"] != "critical" for config in configs)
    assert len({str(run["activation"]) for run in runs if "activation" in run}) > 15
    assert max(config.get("depth", 1) for config in configs) > 50


class Moved:
    """A prediction whose upper edge is said to lie elsewhere, or to be none, while all its own checks are content."""

    def __init__(self, found, **changes):
        self.found, self.checks, self.mean_field, self.moments = found, found.checks, found.mean_field, found.moments
        self.spectrum = replace(found.spectrum, arcs=tuple(replace(arc, **changes) for arc in found.spectrum.arcs))


class Wrong:
    """A prediction whose density is off by a part in a thousand while all its own checks are content."""

    def __init__(self, found):
        self.found, self.checks, self.mean_field, self.moments = found, found.checks, found.mean_field, found.moments
        self.spectrum = self

    def __getattr__(self, name):
        return getattr(self.found.spectrum, name)

    def log_density_at(self, u):
        return self.found.spectrum.log_density_at(u) + 1e-3


def test_examination_catches_a_wrong_density():
    from spectra import Network, predict

    found = predict(Network(depth=3, activation="tanh", sigma_w="critical", q_star=0.5))
    assert random_configs._verdict(found, generator(0))[0] == "certified"
    assert random_configs._verdict(Wrong(found), generator(0))[0] == "false"


# An edge at λ_max that shows, and one that a mass of 1e-12 makes, at the very end of its law.
@pytest.mark.parametrize(("name", "q"), [("tanh", 0.5), ("gelu", 0.0343), ("hardswish", 0.16)])
def test_examination_catches_a_wrong_edge(name, q):
    from spectra import Network, predict

    found = predict(Network(depth=2, activation=name, weights="orthogonal", sigma_w="critical", q_star=q))
    (arc,) = found.spectrum.arcs
    assert random_configs._found_again(found, []) == ""
    assert "edge at U" in random_configs._found_again(Moved(found, low=arc.low + 1e-10), [])
    assert "edge at U" in random_configs._found_again(Moved(found, low=arc.low + 1e-7, exponent_low=0.0), [])
