"""`spectra predict`: one configuration, one spectrum."""

from __future__ import annotations

from typing import Any

import click

from .options import NumberList, load, output_options, set_option
from .outputs import Outputs, say_notes

DOUBLE_DIGITS = 17
MAX_POINTS = 1_000_000
MAX_MOMENTS = 1000


def _digits(_ctx: click.Context, _param: click.Parameter, value: int | None) -> None:
    if value is not None and value < 1:
        raise click.BadParameter(f"{value} must be at least 1.")
    if value is not None and value > DOUBLE_DIGITS:
        raise click.BadParameter(
            f"{value}: more than {DOUBLE_DIGITS} digits (arbitrary precision) are not available in this version."
        )


@click.command()
@click.argument("config")
@click.option("--at", type=NumberList(), metavar="λ,λ,…", help="Give the density of JJᵀ at exactly these points.")
@click.option(
    "--moments", type=click.IntRange(1, MAX_MOMENTS), default=6, show_default=True, help="Number of moments of JJᵀ."
)
@click.option(
    "--points",
    type=click.IntRange(1, MAX_POINTS),
    default=400,
    show_default=True,
    help="Number of density points where --at is not given.",
)
@click.option(
    "--dps", type=int, callback=_digits, expose_value=False, metavar="N", help="Digits, up to 17 (double precision)."
)
@set_option
@output_options
def predict(
    config: str,
    at: tuple[float, ...] | None,
    moments: int,
    points: int,
    changes: dict[str, Any],
    json_path: str | None,
    plot_path: str | None,
) -> None:
    """Predict the spectrum of JJᵀ of the network in CONFIG (a TOML file)."""
    outputs = Outputs(json_path, plot_path)
    net = load(config, changes)

    from ..prediction import predict as predict_spectrum

    pred = predict_spectrum(net)
    record = pred.to_dict(at=at, moments=moments, points=points)

    def figure() -> Any:
        from ..plot import prediction_figure

        return prediction_figure(pred)

    outputs.write(lambda: record, figure)
    if not outputs.silent:
        from .tables import print_prediction

        print_prediction(pred, record)
    say_notes(record["checks"]["notes"])
