"""Networks, weights and operators shared by the tests of matrix-free estimates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

from spectra import Network
from spectra.sampling.matrix_free.weights import redrawn_weights


def tanh_net(**keys):
    return Network(**({"depth": 3, "activation": "tanh", "sigma_w": 1.5, "sigma_b": 0.3, "input_variance": 0.7} | keys))


def stream(number=1):
    return np.random.SeedSequence((number, 5))


def drawn(kind, shape, sigma_w, number=1, room=0.0) -> Any:
    return redrawn_weights(kind, shape[0], shape[1], sigma_w, stream(number), room=room)


def matrix(weights):
    return weights.times(np.eye(weights.n_in))


def linear_operator(shape, **products) -> Any:
    made: Any = LinearOperator  # `LinearOperator(…)` makes another class, which pyright does not know
    return made(shape, dtype=float, **products)


def normal_operator(n_out=60, n_in=80, seed=3):
    return np.random.default_rng(seed).standard_normal((n_out, n_in)) / math.sqrt(n_in)


RECTANGULAR = {
    "input_width": 30,
    "layers": [{"width": 50}, {"width": 20, "weights": "orthogonal"}, {"width": 40, "activation": "gelu"}],
}


def rectangular():
    return Network(activation="tanh", sigma_w=1.5, sigma_b=0.3, input_variance=0.7, **RECTANGULAR)
