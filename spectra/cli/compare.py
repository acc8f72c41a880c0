"""`spectra compare`: several networks side by side, in one table and on one page."""

from __future__ import annotations

import os
from itertools import product
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigError
from .options import CountList, NameList, load, output_options, set_option
from .outputs import Outputs, progress, say_notes

if TYPE_CHECKING:
    from ..network.config import Network


@click.command()
@click.argument("configs", nargs=-1, required=True, metavar="CONFIG [CONFIG…]")
@click.option("--weights", type=NameList(), metavar="A,B,…", help="Kinds of weights: gaussian, orthogonal, …")
@click.option("--depths", type=CountList(), metavar="N,N,…", help="Depths, for configurations given by `depth`.")
@click.option("--activations", type=NameList(), metavar="A,B,…", help="Activations by name, in every layer.")
@set_option
@output_options
def compare(
    configs: tuple[str, ...],
    weights: tuple[str, ...] | None,
    depths: tuple[int, ...] | None,
    activations: tuple[str, ...] | None,
    changes: dict[str, Any],
    json_path: str | None,
    plot_path: str | None,
) -> None:
    """Predict every combination of the CONFIGs with the weights, depths and activations given."""
    outputs = Outputs(json_path, plot_path)
    networks: list[tuple[str, Network]] = []
    for config in configs:
        net = load(config, changes)
        name = os.path.splitext(os.path.basename(config))[0]
        for kind, depth, activation in product(weights or (None,), depths or (None,), activations or (None,)):
            varied = net
            for key, value in (("weights", kind), ("activation", activation), ("depth", depth)):
                varied = varied if value is None else everywhere(varied, key, value)
            parts = [activation, kind, None if depth is None else f"depth {depth}"]
            label = ", ".join(part for part in ([name] if len(configs) > 1 else []) + parts if part) or name
            networks.append((_distinct(label, [known for known, _ in networks]), varied))

    from ..prediction import predict

    runs = []
    with progress("predicting") as start:
        advance = start("")
        for index, (label, net) in enumerate(networks, start=1):
            try:
                runs.append((label, predict(net)))
            except ConfigError as error:
                raise ConfigError(f"{label}: {error}") from None
            if advance is not None:
                advance(index, len(networks))
    records = [(label, pred.to_dict()) for label, pred in runs]

    def document() -> dict[str, Any]:
        from ..record import SCHEMA

        return {"schema": SCHEMA, "runs": [{"label": label, "prediction": record} for label, record in records]}

    def figure() -> Any:
        from ..plot import comparison_figure

        return comparison_figure(runs)

    outputs.write(document, figure)
    if not outputs.silent:
        from .tables import print_comparison

        print_comparison(runs, [record for _, record in records])
    say_notes(f"{label}: {note}" for label, record in records for note in record["checks"]["notes"])


def everywhere(net: Network, key: str, value: Any) -> Network:
    """Return the network with `key` set at the top level and taken out of the layers that have their own."""
    given = net.to_dict()
    if key == "depth" and "layers" in given:
        raise ConfigError("`--depths`: goes only with a configuration that gives `depth`; here [[layers]] are given.")
    own = {f"layers.{i}.{key}": None for i, layer in enumerate(given.get("layers", [])) if key in layer}
    return net.replace(**{key: value}, **own)


def _distinct(label: str, known: list[str]) -> str:
    """Return the label, numbered where it is taken."""
    number, candidate = 1, label
    while candidate in known:
        number += 1
        candidate = f"{label} ({number})"
    return candidate
