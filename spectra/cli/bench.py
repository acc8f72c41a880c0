"""`spectra bench`: a prediction beside sampling the same network: seconds, errors, and how both grow."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from .options import output_options
from .outputs import Outputs, progress

if TYPE_CHECKING:
    from ..network.config import Network
    from ..prediction import Prediction

DENSITY_POINTS = 1000
REPEATS = 5
# Largest width, and networks sampled there.
QUICK, FULL = (200, 2), (1000, 2)
# Widths are halved down to this; up to `FEW` so many networks are sampled, for the clock and for the error.
NARROWEST, NETWORKS, FEW = 8, 16, 130
# Depths at which both are timed, and the share of the largest width that is sampled there.
QUICK_DEPTHS, FULL_DEPTHS, SHARE = (2, 8, 32), (2, 8, 32, 128), 4
# Every repetition gets a slightly different scale, so that nothing computed before can be used again.
STEP = 1e-4


@click.command()
@click.option("--quick", is_flag=True, help="Few networks of small width: some seconds in all.")
@output_options
def bench(*, quick: bool, json_path: str | None, plot_path: str | None) -> None:
    """Time `predict` (with 1000 density points) and `sample`, over widths and depths, and compare their errors."""
    outputs = Outputs(json_path, plot_path)
    width, samples = QUICK if quick else FULL
    cases = networks(quick=quick)
    steps = [(depth, weights) for depth in (QUICK_DEPTHS if quick else FULL_DEPTHS) for weights in WEIGHTS]
    runs, depths = [], []
    # What is loaded on first use is no part of the time.
    sampled(cases[0][1], predicted(cases[0][1])[0], NARROWEST, 2)
    with progress("timing") as start:
        advance = start("")
        for index, (label, net) in enumerate(cases, start=1):
            runs.append({"label": label} | timed(net, width, samples))
            if advance is not None:
                advance(index, len(cases) + 1)
        for depth, weights in steps:
            depths.append(at_depth(depth, weights, max(width // SHARE, 1)))
        if advance is not None:
            advance(len(cases) + 1, len(cases) + 1)
    blas = blas_threads()

    def document() -> dict[str, Any]:
        from ..record import SCHEMA, finite

        missing: list[str] = []
        found = finite({"runs": runs, "depths": depths}, missing)
        return {"schema": SCHEMA, "density_points": DENSITY_POINTS} | found | {"blas": blas, "notes": missing}

    def figure() -> Any:
        from ..plot import bench_figure

        return bench_figure(runs, depths)

    outputs.write(document, figure)
    if not outputs.silent:
        from .bench_tables import print_bench

        print_bench(runs, depths, blas, DENSITY_POINTS)


def networks(*, quick: bool) -> list[tuple[str, Network]]:
    """Networks that are timed."""
    from ..network.config import Network

    deep = 16 if quick else 64
    tanh = {"activation": "tanh", "sigma_w": 1.1, "sigma_b": 0.1}
    return [
        (f"tanh, orthogonal, depth {deep}", Network(depth=deep, weights="orthogonal", **tanh)),
        (f"tanh, Gaussian, depth {deep}", Network(depth=deep, weights="gaussian", **tanh)),
        ("ReLU, Gaussian, depth 8", Network(depth=8, activation="relu", sigma_w=2**0.5, input_variance=1.0)),
        (
            "hard tanh, orthogonal, depth 8",
            Network(depth=8, activation="hardtanh", weights="orthogonal", sigma_w=1.05, sigma_b=0.1),
        ),
    ]


WEIGHTS = ("orthogonal", "gaussian")


def timed(net: Network, width: int, samples: int) -> dict[str, Any]:
    """One network: seconds and checks of a prediction, seconds and errors of sampling at halved widths, break-even."""
    pred, predicting = predicted(net)
    ladder = [width]
    while ladder[-1] // 2 >= NARROWEST:
        ladder.append(ladder[-1] // 2)
    rows = [sampled(net, pred, n, samples if n > FEW else max(samples, NETWORKS)) for n in reversed(ladder)]
    even = break_even(rows, predicting)
    last = rows[-1]
    error = sampled(net, pred, max(round(even), NARROWEST), NETWORKS) if even is not None else None
    return {
        "predict_seconds": predicting,
        "sample_seconds": last["seconds"] * last["samples"],
        "width": width,
        "samples": last["samples"],
        "ratio": last["seconds"] / predicting,
        "sampling": rows,
        "break_even_width": even,
        "break_even": error,
        "checks": {
            "residual": pred.checks.residual,
            "mass_defect": pred.checks.mass_defect,
            "moment_defect": max((abs(d) for d in pred.checks.moment_defects if d is not None), default=None),
            "certified": pred.checks.certified,
        },
    }


def predicted(net: Network) -> tuple[Prediction, float]:
    """A prediction, and the seconds that one takes with its density: best of a few, no two alike."""
    import numpy as np

    from ..prediction import predict

    pred = predict(net)
    low, high = pred.spectrum.effective_support
    points = low + (high - low) * (np.arange(DENSITY_POINTS) + 0.5) / DENSITY_POINTS
    seconds = []
    for repeat in range(1, REPEATS + 1):
        changed = net.replace(sigma_w=net.layers[0].sigma_w * (1.0 + STEP * repeat))  # type: ignore[operator]
        begin = time.perf_counter()
        predict(changed).spectrum.pdf(points)
        seconds.append(time.perf_counter() - begin)
    return pred, min(seconds)


def sampled(net: Network, pred: Prediction, width: int, samples: int) -> dict[str, Any]:
    """Seconds per network of one width, and how far a single network is from the prediction.

    `ks` is the mean distance sup |F_N − F| of one network; `m_1`, `m_2` are root mean squares of m̂_k/m_k − 1.
    """
    import numpy as np

    from ..distances import Grid
    from ..sampling import sample

    begin = time.perf_counter()
    ensemble = sample(net, width=width, samples=samples, seed=0)
    seconds = (time.perf_counter() - begin) / samples
    grid = Grid.build(pred, (ensemble,))
    distances = grid.supremum(grid.empirical(ensemble) - grid.law)
    moments = pred.moments(2)
    errors = {}
    for k in (1, 2):
        found = np.exp(2 * k * ensemble.log_singular_values).sum(axis=1) / ensemble.n_out
        errors[f"m_{k}"] = float(np.sqrt(np.mean((found / moments[k - 1] - 1) ** 2)))
    return {"width": width, "samples": samples, "seconds": seconds, "ks": float(distances.mean())} | errors


def break_even(rows: Sequence[dict[str, Any]], seconds: float) -> float | None:
    """Width at which sampling one network takes so long, between two that were timed; None outside of them."""
    for below, above in pairwise(rows):
        if below["seconds"] <= seconds <= above["seconds"]:
            span = math.log(above["seconds"] / below["seconds"])
            share = math.log(seconds / below["seconds"]) / span if span else 0.0
            return below["width"] * (above["width"] / below["width"]) ** share
    return None


def at_depth(depth: int, weights: str, width: int) -> dict[str, Any]:
    """Seconds of a prediction and of sampling one network, tanh layers, at one depth."""
    from ..network.config import Network
    from ..sampling import sample

    net = Network(depth=depth, activation="tanh", weights=weights, sigma_w=1.1, sigma_b=0.1)
    _, predicting = predicted(net)
    begin = time.perf_counter()
    sample(net, width=width, samples=2, seed=0)
    sampling = (time.perf_counter() - begin) / 2
    return {
        "depth": depth,
        "weights": weights,
        "predict_seconds": predicting,
        "width": width,
        "sample_seconds": sampling,
        "ratio": sampling / predicting,
    }


def blas_threads() -> list[dict[str, Any]]:
    """Threads of every linear-algebra library that is loaded; sampling time depends on them."""
    from threadpoolctl import threadpool_info

    return [
        {"library": info.get("internal_api"), "version": info.get("version"), "threads": info.get("num_threads")}
        for info in threadpool_info()
    ]
