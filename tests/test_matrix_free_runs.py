"""Matrix-free runs: densities in bins, runs that were killed, other workers, what they are expected to take."""

from __future__ import annotations

import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import answer, refused
from matrix_free_cases import normal_operator, tanh_net

from spectra import ConfigError, Network, predict
from spectra.agreement.matrix_free import compare
from spectra.cli import main
from spectra.sampling.matrix_free import estimate, expected, sample

SIZE: dict[str, Any] = {"probes": 3, "steps": 8}


def same(one: Any, other: Any) -> bool:
    names = ("log_probe_moments", "log_nodes", "weights", "converged", "log_top", "top_bound", "q", "chi")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


# densities --------------------------------------------------------------------------------------------------------


def test_density_of_a_diagonal_matrix_is_its_histogram():
    # Random signs have the same weight, 1/n, on every coordinate: no scatter, and n steps leave nothing open.
    values = np.exp(np.linspace(-1.0, 1.0, 12))
    found = estimate(np.diag(np.sqrt(values)), probes=2, steps=12)
    edges = np.array([-1.7, -0.72, 0.1, 0.11, 1.2])
    density = found.density(edges)
    counts = np.histogram(np.log(values), edges)[0]
    assert counts.tolist() == [2, 5, 0, 5]
    np.testing.assert_allclose(density.value, counts / 12 / np.diff(edges), atol=1e-9)
    np.testing.assert_allclose(density.error, 0.0, atol=1e-9)
    np.testing.assert_allclose(density.resolution, 0.0, atol=1e-7)


@pytest.mark.parametrize("steps", [3, 5, 8])
def test_what_few_steps_leave_open_holds_the_histogram(steps):
    # Of a diagonal matrix again, so that chance has no part in it: any bins, and as tight as Gauss rules allow.
    rng, values = np.random.default_rng(steps), np.exp(np.linspace(-3.0, 1.0, 40))
    found = estimate(np.diag(np.sqrt(values)), probes=1, steps=steps)
    tight = []
    for _ in range(60):
        edges = np.sort(rng.uniform(-3.3, 1.3, 4))
        density = found.density(edges)
        exact = np.histogram(np.log(values), edges)[0] / 40 / np.diff(edges)
        assert np.all(np.abs(density.value - exact) <= density.resolution + 1e-9)
        tight.append(np.max(np.abs(density.value - exact) / density.resolution))
    assert max(tight) > 0.4


@pytest.mark.parametrize(("shape", "steps"), [((200, 300), 40), ((300, 200), 30)])
def test_density_is_that_of_the_dense_matrix_within_its_errors(shape, steps):
    operator, probes = normal_operator(*shape), 64
    values = np.linalg.svd(operator, compute_uv=False) ** 2
    edges = np.log(np.quantile(values, [0.0, 0.2, 0.5, 0.8, 1.0])) + np.array([-0.01, 0.0, 0.0, 0.0, 0.01])
    density, length = estimate(operator, probes=probes, steps=steps).density(edges), np.diff(edges)
    counts, n = np.histogram(np.log(values), edges)[0], min(shape)
    # Hutchinson: the variance of zᵀPz over signs is 2(r − Σ P_ii²), about 2r(1 − r/n) for a random subspace of rank r.
    chance = np.sqrt(2.0 * counts * (1.0 - counts / n) / probes) / shape[0] / length
    assert np.all(np.abs(density.value - counts / shape[0] / length) < density.resolution + 4.5 * chance)
    # 63 degrees of freedom: a standard deviation is known to 9 %.
    np.testing.assert_allclose(density.error, chance, rtol=0.45)


@pytest.mark.parametrize("edges", [[0.0], [0.0, 0.0], [1.0, 0.0], [-math.inf, 0.0], [0.0, math.nan]])
def test_bins_that_are_none_are_refused(edges):
    with pytest.raises(ConfigError, match=r"density\(edges\)"):
        estimate(np.eye(3), probes=1, steps=3).density(np.array(edges))


def test_the_comparison_has_the_density_beside_its_prediction():
    net = Network(depth=2, activation="tanh", weights="orthogonal", sigma_w="critical", q_star=0.3)
    pred = predict(net)
    rows = compare(pred, sample(net, 150, 4, probes=8, steps=40)).widths[0].density
    assert len(rows) > 5
    for row in rows:
        low, high = pred.spectrum.cdf(np.exp([row.log_low, row.log_high]))
        assert row.predicted == pytest.approx((high - low) / (row.log_high - row.log_low), rel=1e-9)
        assert abs(row.estimated - row.predicted) < row.resolution + 5.0 * row.standard_error
        assert row.resolution < 0.5 * row.estimated
    assert rows[-1].log_high >= math.log(pred.spectrum.support()[1])
    # A law of atoms alone has none.
    point = Network(depth=2, activation="identity", weights="orthogonal", sigma_w=1.0, sigma_b=0.0)
    assert compare(predict(point), sample(point, 30, 2, **SIZE)).widths[0].density == ()


# runs -------------------------------------------------------------------------------------------------------------


def test_a_run_goes_on_where_it_was_killed(tmp_path):
    net, store = tanh_net(), tmp_path / "store"
    whole = sample(net, 30, 4, **SIZE)
    done: list[tuple[int, int]] = []

    def kill(count: int, total: int) -> None:
        done.append((count, total))
        if count == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(net, 30, 4, **SIZE, store=store, n_jobs=1, progress=kill)
    kept = sorted((store / "width-30").iterdir())
    assert 2 <= len(kept) < 4
    before = {path: path.stat().st_mtime_ns for path in kept}
    done.clear()
    again = sample(net, 30, 4, **SIZE, store=store, progress=lambda *counts: done.append(counts))
    assert done[0] == (len(kept), 4)
    assert len(done) == 5 - len(kept)
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert same(again, whole)
    assert again.products == whole.products
    assert same(sample(net, 30, 5, **SIZE, store=store), sample(net, 30, 5, **SIZE))


def test_a_store_of_another_run_is_refused(tmp_path):
    from spectra import sample as sample_matrices

    net = tanh_net()
    sample(net, 20, 2, **SIZE, store=tmp_path / "one")
    for name, value in (("probes", 4), ("steps", 9), ("orders", 2), ("seed", 1)):
        other: dict[str, Any] = SIZE | {name: value}
        with pytest.raises(ConfigError, match=f"another {name}"):
            sample(net, 20, 2, **other, store=tmp_path / "one")
    with pytest.raises(ConfigError, match="another method"):
        sample_matrices(net, 20, 2, store=tmp_path / "one")
    sample_matrices(net, 20, 2, store=tmp_path / "two")
    with pytest.raises(ConfigError, match="another method"):
        sample(net, 20, 2, **SIZE, store=tmp_path / "two")
    (tmp_path / "one" / "width-20" / "sample-000001.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(ConfigError, match="not a sampled network"):
        sample(net, 20, 2, **SIZE, store=tmp_path / "one")


@pytest.mark.parametrize("backend", ["sequential", "loky"])
def test_other_workers_find_the_same(backend):
    net = tanh_net()
    assert same(sample(net, 20, 3, **SIZE, n_jobs=2, backend=backend), sample(net, 20, 3, **SIZE))


@pytest.mark.parametrize("memory", [0.0, 1e9])
def test_memory_is_what_was_expected(memory):
    net = tanh_net()
    size: dict[str, Any] = {"probes": 24, "steps": 12, "memory": memory}
    found = expected(net, 800, 1, **size)
    tracemalloc.start()
    sample(net, 800, 1, **size)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.6 < found.bytes / peak < 1.5
    assert 0.0 < found.seconds < 60.0


def test_time_grows_with_what_is_drawn_and_multiplied():
    # Weights that do not fit are drawn for each of 68 products, at twice the width four times as many.
    net = tanh_net()
    one, twice = (expected(net, n, 2, memory=0.0).seconds for n in (4000, 8000))
    assert 2.0 < twice / one < 8.0
    assert expected(net, 4000, 2, memory=1e12).seconds < 0.6 * one  # drawing takes longer than multiplying
    with pytest.raises(ConfigError, match="samples"):
        expected(net, 100, 0)


# command line -----------------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.toml").write_text(
        'depth = 2\nactivation = "tanh"\nweights = "orthogonal"\nsigma_w = "critical"\nq_star = 0.3\n'
    )
    return "net.toml"


def test_check_matrix_free_stores_draws_and_lists_the_density(config, capsys):
    options = ("--matrix-free", "--width", "80", "--samples", "3", "--store", "kept", "--jobs", "1")
    record = answer(capsys, "check", config, *options, "--plot", "page.svg")
    assert len(list(Path("kept/width-80").iterdir())) == 3
    assert json.loads(Path("kept/ensemble.json").read_text())["method"] == "matrix-free"
    names = ("log_low", "log_high", "estimated", "standard_error", "resolution", "predicted")
    assert record["widths"][0]["density"]
    assert all(tuple(row) == names for row in record["widths"][0]["density"])
    drawing = Path("page.svg").read_text()
    assert drawing.startswith("<?xml")
    assert record == answer(capsys, "check", config, *options)
    assert main(["check", config, *options]) == 0
    out, _ = capsys.readouterr()
    assert "Density of log λ" in out


def test_check_matrix_free_says_what_it_takes_and_where_it_went_on(config, capsys, monkeypatch):
    from spectra.sampling.memory import Estimate

    monkeypatch.setattr("spectra.sampling.matrix_free.cost.expected", lambda *_, **__: Estimate(3 * 2**30, 600.0))

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("spectra.sampling.matrix_free.sample", interrupted)
    main(["check", config, "--matrix-free", "--store", "kept"])
    _, err = capsys.readouterr()
    assert "about 10 min and 3 GiB" in err
    assert "kept; the same command goes on" in err


def test_check_matrix_free_refuses_options_of_matrices(config, capsys):
    for options in (["--dtype", "float32"], ["--method", "plain"], ["--array-module", "torch"]):
        assert options[0] in refused(capsys, "check", config, "--matrix-free", *options)
