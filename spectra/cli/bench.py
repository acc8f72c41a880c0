"""`spectra bench`: how long a prediction takes, beside sampling the same network."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from .options import json_option
from .outputs import Outputs, progress

if TYPE_CHECKING:
    from ..network.config import Network

DENSITY_POINTS = 1000
REPEATS = 5
# Width, and networks sampled.
QUICK, FULL = (200, 2), (1000, 4)
# Every repetition gets a slightly different scale, so that nothing computed before can be used again.
STEP = 1e-4


@click.command()
@click.option("--quick", is_flag=True, help="Few networks of small width: some seconds in all.")
@json_option
def bench(*, quick: bool, json_path: str | None) -> None:
    """Time `predict` (with 1000 density points) and `sample` on a few networks."""
    outputs = Outputs(json_path)
    width, samples = QUICK if quick else FULL
    runs = []
    with progress("timing") as start:
        advance = start("")
        cases = networks(quick=quick)
        for index, (label, net) in enumerate(cases, start=1):
            runs.append({"label": label} | timed(net, width, samples))
            if advance is not None:
                advance(index, len(cases))
    blas = blas_threads()

    def document() -> dict[str, Any]:
        from ..record import SCHEMA

        return {"schema": SCHEMA, "density_points": DENSITY_POINTS, "runs": runs, "blas": blas}

    outputs.write(document)
    if not outputs.silent:
        from .tables import print_bench

        print_bench(runs, blas, DENSITY_POINTS)


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


def timed(net: Network, width: int, samples: int) -> dict[str, Any]:
    """Seconds for one prediction (best of a few, no two alike) and for sampling, and their ratio per network."""
    import numpy as np

    from ..prediction import predict
    from ..sampling import sample

    low, high = predict(net).spectrum.effective_support
    points = low + (high - low) * (np.arange(DENSITY_POINTS) + 0.5) / DENSITY_POINTS
    seconds = []
    for repeat in range(1, REPEATS + 1):
        changed = net.replace(sigma_w=net.layers[0].sigma_w * (1.0 + STEP * repeat))  # type: ignore[operator]
        begin = time.perf_counter()
        predict(changed).spectrum.pdf(points)
        seconds.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    sample(net, width=width, samples=samples, seed=0)
    sampling = time.perf_counter() - begin
    return {
        "predict_seconds": min(seconds),
        "sample_seconds": sampling,
        "width": width,
        "samples": samples,
        "ratio": sampling / samples / min(seconds),
    }


def blas_threads() -> list[dict[str, Any]]:
    """Threads of every linear-algebra library that is loaded; sampling time depends on them."""
    from threadpoolctl import threadpool_info

    return [
        {"library": info.get("internal_api"), "version": info.get("version"), "threads": info.get("num_threads")}
        for info in threadpool_info()
    ]
