"""What the tests of the command line share: configurations, and its two ways to end."""

from __future__ import annotations

import json

from spectra.cli import main

TANH = 'depth = 6\nactivation = "tanh"\nweights = "orthogonal"\nsigma_w = "critical"\nq_star = 0.1\nwidth = 60\n'
RELU = 'depth = 3\nactivation = "relu"\nsigma_w = 1.4142135623730951\nsigma_b = 0.0\ninput_variance = 1.0\n'
LAYERS = """
input_width = 90
input_variance = 1.0
sigma_w = 1.3
sigma_b = 0.1
[[layers]]
activation = "gelu"
width = 60
repeat = 2
[[layers]]
activation = {name = "leaky_relu", negative_slope = 0.2}
weights = "orthogonal"
width = 80
"""


def answer(capsys, *arguments: str, status: int = 0) -> dict:
    """JSON on standard output, and nothing else there."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in JSON")

    assert main([*arguments, "--json", "-"]) == status
    return json.loads(capsys.readouterr().out, parse_constant=refuse)


def refused(capsys, *arguments: str) -> str:
    """One line on standard error, nothing on standard output, status 2."""
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    return err


# predict ----------------------------------------------------------------------------------------------------------
