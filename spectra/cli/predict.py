"""`spectra predict`: one configuration, one spectrum."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from ..digits import MOST_DIGITS
from .options import NumberList, load, output_options, points_option, set_option
from .outputs import Outputs, say_notes

MAX_MOMENTS = 1000


@click.command()
@click.argument("config")
@click.option("--at", type=NumberList(), metavar="λ,λ,…", help="Give the density of JJᵀ at exactly these points.")
@click.option(
    "--moments", type=click.IntRange(1, MAX_MOMENTS), default=6, show_default=True, help="Number of moments of JJᵀ."
)
@points_option
@click.option(
    "--dps",
    type=click.IntRange(1, MOST_DIGITS),
    metavar="N",
    help="Digits; with more than 17 numbers known to as many are strings (the density only with --at).",
)
@click.option(
    "--certify",
    is_flag=True,
    help="Add enclosures proven in ball arithmetic, midpoint and radius; --dps makes them narrower (30 digits else).",
)
@set_option
@output_options
def predict(
    config: str,
    at: tuple[float, ...] | None,
    moments: int,
    points: int,
    dps: int | None,
    certify: bool,
    changes: dict[str, Any],
    json_path: str | None,
    plot_path: str | None,
) -> None:
    """Predict the spectrum of JJᵀ of the network in CONFIG (a TOML file)."""
    outputs = Outputs(json_path, plot_path)
    net = load(config, changes)

    from ..prediction import predict as predict_spectrum

    pred = predict_spectrum(net, dps=dps, certify=certify)
    record = pred.to_dict(at=at, moments=moments, points=points)

    def figure() -> Any:
        from ..plot import prediction_figure

        return prediction_figure(pred)

    outputs.write(lambda: record, figure)
    if not outputs.silent:
        from .tables import print_enclosures, print_prediction, print_strings

        # A record with strings has another of doubles beside it.
        plain = replace(pred, digits=None, certify=False)
        doubles = record if dps is None and not certify else plain.to_dict(at=at, moments=moments, points=points)
        print_prediction(plain, doubles)
        print_strings(record)
        if pred.certify:
            print_enclosures(record["certified"])
    say_notes(record["checks"]["notes"])
