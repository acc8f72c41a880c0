"""`spectra check`: the prediction against real networks of finite width."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import click
from click.core import ParameterSource

from .options import CountList, load, output_options, sampling_options, set_option
from .outputs import Outputs, progress, say_notes, say_what_it_takes, told_where_to_go_on

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
@sampling_options
@click.option("--matrix-free", is_flag=True, help="Estimate by products alone, without matrices: for large widths.")
@click.option("--probes", type=click.IntRange(1), help="Random vectors per network (--matrix-free); 16.")
@click.option("--steps", type=click.IntRange(3), help="Lanczos steps from each of them (--matrix-free); 32.")
@set_option
@output_options
def check(
    config: str,
    width: int | None,
    widths: tuple[int, ...] | None,
    samples: int,
    measured_path: str | None,
    seed: int,
    matrix_free: bool,
    probes: int | None,
    steps: int | None,
    changes: dict[str, Any],
    json_path: str | None,
    plot_path: str | None,
    **options: Any,
) -> int:
    """Sample networks as CONFIG describes them and compare; exit 1 where they disagree with the prediction."""
    if width is not None and widths is not None:
        raise click.UsageError("give `--width` or `--widths`, not both.")
    if widths is not None and len(set(widths)) < len(widths):
        raise click.UsageError("`--widths` names a width twice.")
    if measured_path is not None and (width is not None or widths is not None):
        raise click.UsageError("`--singular-values` have a width of their own: leave `--width` and `--widths` out.")
    if not matrix_free and (probes is not None or steps is not None):
        raise click.UsageError("`--probes` and `--steps` go only with `--matrix-free`.")
    if matrix_free and measured_path is not None:
        raise click.UsageError("`--matrix-free` does not go with `--singular-values`.")
    if matrix_free:
        _refuse("--matrix-free", ("dtype", "method", "array_module", "device"))
    if measured_path is not None:
        _refuse("--singular-values", ("samples",))
    outputs = Outputs(json_path, plot_path)
    net = load(config, changes)
    own = None if net.widths is not None else DEFAULT_WIDTH
    sampled_widths: tuple[int | None, ...] = widths or (width or own,)
    if matrix_free:
        from .matrix_free import check_matrix_free

        workers = {name: options[name] for name in ("n_jobs", "backend", "store")}
        return check_matrix_free(net, sampled_widths, samples, seed, probes or 16, steps or 32, outputs, workers)

    from ..agreement import crosscheck, measured_zeros
    from ..prediction import predict
    from ..sampling import companions, estimate, measured, read_singular_values, refuse_beyond_memory, sample

    ensembles, values, zeros = [], None, ()
    if measured_path is not None:
        values = read_singular_values(measured_path)
        measured(net, values)  # refused before anything is computed
        sampled_widths = ()
    factored = options["method"] != "plain" and options["array_module"] is None
    for n in sampled_widths:
        name = "--width" if widths is None else "--widths"
        refuse_beyond_memory(net, n, name, dtype=options["dtype"], factored=factored)
    pred = predict(net)
    if values is not None:
        found, zeros = measured_zeros(pred, values)
        # The seed is that of the networks sampled at smaller widths.
        ensembles = [replace(found, seed=seed)]
    # Half and a quarter of the width, four and sixteen times as many networks: ½ + ¼ of the time again.
    times = 1.75 if len(sampled_widths) == 1 else 1.0
    say_what_it_takes([estimate(net, n, samples, dtype=options["dtype"]) for n in sampled_widths], times)
    with progress("sampling") as start, told_where_to_go_on(options["store"]):
        ensembles += [
            sample(net, n, samples, seed, start("" if n is None else f"width {n}"), **options) for n in sampled_widths
        ]
        judged = list(ensembles)
        if len(ensembles) == 1:
            judged += companions(ensembles[0], progress=start("smaller widths"), **options)
        result = crosscheck(pred, judged, companions=False)
        result = replace(result, notes=(*zeros, *result.notes))

    record = pred.to_dict()

    def document() -> dict[str, Any]:
        return document_of(record, result)

    def figure() -> Any:
        from ..plot import check_figure

        return check_figure(pred, ensembles, result)

    outputs.write(document, figure)
    if not outputs.silent:
        from .check_tables import print_check

        print_check(pred, result)
    say_notes([*record["checks"]["notes"], *result.notes])
    return 0 if result.agree else DISAGREE


def _refuse(option: str, names: Iterable[str]) -> None:
    """Raise where one of the parameters was given that `option` would leave unused."""
    context = click.get_current_context()
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"`{parameter.opts[0]}` does not go with `{option}`.")


def document_of(prediction: dict[str, Any], result: Any) -> dict[str, Any]:
    """JSON object of a comparison: schema, prediction, and the fields of the result; what has no double is null."""
    from ..record import SCHEMA, finite

    missing: list[str] = []
    comparison = finite(result.to_dict(), missing)
    comparison["notes"] += [f"`{path}` is null: there is no such double." for path in dict.fromkeys(missing)]
    return {"schema": SCHEMA, "prediction": prediction} | comparison
