"""`spectra check`: the prediction against real networks of finite width."""

from __future__ import annotations

from typing import Any

import click

from .options import CountList, load, output_options, set_option
from .outputs import Outputs, progress, say_notes

DISAGREE = 1
DEFAULT_WIDTH = 500


@click.command()
@click.argument("config")
@click.option("--width", type=click.IntRange(1), help="Largest width; the configuration's own, or else 500.")
@click.option("--widths", type=CountList(), metavar="N,N,…", help="Several widths instead of one.")
@click.option("--samples", type=click.IntRange(2), default=8, show_default=True, help="Networks sampled per width.")
@click.option(
    "--singular-values",
    "measured_path",
    metavar="FILE",
    help="Compare singular values measured elsewhere (.npy of shape (samples, n), or text) instead of sampling.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the sampling.")
@set_option
@output_options
def check(
    config: str,
    width: int | None,
    widths: tuple[int, ...] | None,
    samples: int,
    measured_path: str | None,
    seed: int,
    changes: dict[str, Any],
    json_path: str | None,
    plot_path: str | None,
) -> int:
    """Sample networks as CONFIG describes them and compare; exit 1 where they disagree with the prediction."""
    if width is not None and widths is not None:
        raise click.UsageError("give `--width` or `--widths`, not both.")
    if widths is not None and len(set(widths)) < len(widths):
        raise click.UsageError("`--widths` names a width twice.")
    if measured_path is not None and (width is not None or widths is not None):
        raise click.UsageError("`--singular-values` have a width of their own: leave `--width` and `--widths` out.")
    outputs = Outputs(json_path, plot_path)
    net = load(config, changes)
    own = None if net.widths is not None else DEFAULT_WIDTH
    sampled_widths: tuple[int | None, ...] = widths or (width or own,)

    from ..agreement import crosscheck
    from ..prediction import predict
    from ..sampling import measured, read_singular_values, refuse_beyond_memory, sample

    ensembles = []
    if measured_path is not None:
        ensembles, sampled_widths = [measured(net, read_singular_values(measured_path))], ()
    for n in sampled_widths:
        refuse_beyond_memory(net, n, "--width" if widths is None else "--widths")
    pred = predict(net)
    with progress("sampling") as start:
        ensembles += [
            sample(net, width=n, samples=samples, seed=seed, progress=start("" if n is None else f"width {n}"))
            for n in sampled_widths
        ]
        result = crosscheck(pred, ensembles, progress=start("smaller widths") if len(ensembles) == 1 else None)

    record = pred.to_dict()

    def document() -> dict[str, Any]:
        from ..record import SCHEMA, finite

        missing: list[str] = []
        comparison = finite(result.to_dict(), missing)
        comparison["notes"] += [f"`{path}` is null: there is no such double." for path in dict.fromkeys(missing)]
        return {"schema": SCHEMA, "prediction": record} | comparison

    def figure() -> Any:
        from ..plot import check_figure

        return check_figure(pred, ensembles, result)

    outputs.write(document, figure)
    if not outputs.silent:
        from .check_tables import print_check

        print_check(pred, result)
    say_notes([*record["checks"]["notes"], *result.notes])
    return 0 if result.agree else DISAGREE
