"""Figures: what they show is there, in the right place, and readable."""

import itertools
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from spectra.expressions import parse_law
from spectra.network import Network
from spectra.plot import check_figure, comparison_figure, figure_bytes, prediction_figure
from spectra.plot.page import between_decades, page
from spectra.plot.singular_values import title_of
from spectra.prediction import predict
from spectra.sampling import sample

matplotlib.use("Agg")
HARD = {"activation": "hardtanh", "weights": "orthogonal", "sigma_w": "critical"}
HE = {"activation": "relu", "sigma_w": 2**0.5, "input_variance": 1.0}


def texts(figure: Any) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def curve(figure: Any) -> tuple[np.ndarray, np.ndarray]:
    """The law itself, drawn first."""
    line = figure.axes[0].lines[0]
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


def test_small_bulk_below_a_heavy_atom_is_shown_whole() -> None:
    # 98.7 % of the mass sits in the atom at s = 1.006; the bulk with 1 % below s = 0.18 must not be cut off.
    figure = prediction_figure(predict(Network(depth=8, q_star=0.1, **HARD)))
    axes = figure.axes[0]
    _, density = curve(figure)
    assert axes.get_xscale() == "log"
    assert np.nanmax(density) <= axes.get_ylim()[1]
    assert np.nanmax(density) > 0.5 * axes.get_ylim()[1]
    assert any(text.startswith("mass 0.9875 at s = 1.006") for text in texts(figure))


def test_titles_break_between_words() -> None:
    keys = {"kind": "residual", "branch_layers": 2, "alpha": 0.5, "sigma_w": 2**0.5, "input_variance": 1.0}
    title = title_of(predict(Network(depth=4, activation="relu", **keys)))
    assert "pre-activation" in title
    assert "\n" in title


def test_words_of_a_legend_hide_what_runs_through_them() -> None:
    keys = {"kind": "residual", "order": "post", "alpha": "1/sqrt(depth)", "sigma_w": 1.0, "input_variance": 1.0}
    legend = prediction_figure(predict(Network(depth=8, activation="relu", **keys))).axes[0].get_legend()
    assert legend is not None
    assert legend.get_frame_on()


def test_atoms_alone_have_no_scale_of_densities() -> None:
    law = {"name": "leaky_relu", "negative_slope": 0.1}
    net = Network(depth=1, activation=law, weights="orthogonal", sigma_w="critical", sigma_b=0.0)
    figure = prediction_figure(predict(net))
    assert figure.axes[0].get_ylabel() == "no density: atoms only"
    assert len(figure.axes[0].get_yticks()) == 0
    assert not [text for text in texts(figure) if "edge" in text]
    assert sum(text.startswith("mass 0.5") for text in texts(figure)) == 2


def test_edges_are_named_for_what_they_are() -> None:
    net = Network(depth=32, activation="tanh", weights="orthogonal", sigma_w="critical", q_star=0.02)
    figure = prediction_figure(predict(net))
    assert {text.rpartition(" ")[0] for text in texts(figure)} == {"effective edge", "edge"}


def boxes(figure: Any) -> list[Any]:
    """Where the labels of edges are, as drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    return [t.get_window_extent(renderer) for axes in figure.axes for t in axes.texts if "edge" in t.get_text()]


@pytest.mark.parametrize("inputs", [1000, 150528, 10**7])
def test_labels_of_a_narrow_bulk_are_apart_and_differ(inputs: int) -> None:
    layer = Network(activation="identity", sigma_w=1.0, input_width=inputs, layers=[{"width": 1}])
    figure = prediction_figure(predict(layer))
    first, second = boxes(figure)
    assert not first.overlaps(second)
    # c = 1/N_0: the edges are 1 ± √c, told apart by two digits or more.
    values = sorted(float(text.rpartition(" ")[2]) for text in texts(figure))
    assert values[1] - values[0] == pytest.approx(2 / inputs**0.5, rel=0.1)


@pytest.mark.parametrize("slope", [0.05, 0.2])
def test_inner_edges_are_labelled_too(slope: float) -> None:
    law = {"name": "leaky_relu", "negative_slope": slope}
    pred = predict(Network(depth=1, activation=law, sigma_w=1.0, sigma_b=0.1, input_variance=1.0))
    figure = prediction_figure(pred)
    (_, low), (high, top) = pred.singular_values.bulks
    assert {f"edge {end:.4g}" for end in (low, high, top)} <= set(texts(figure))
    drawn = boxes(figure)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(drawn, 2))


def test_an_atom_too_small_to_be_seen_is_not_marked() -> None:
    assert not any("s = 0" in t for t in texts(prediction_figure(predict(Network(depth=8, q_star=0.02, **HARD)))))


def test_laws_beyond_hundreds_of_decades_are_drawn() -> None:
    net = Network(depth=400, activation="tanh", sigma_w="critical", sigma_b=0.05)
    figure = prediction_figure(predict(net))
    where, density = curve(figure)
    assert where[0] < 1e-280
    assert np.all(np.isfinite(density))
    assert figure_bytes(figure).startswith(b"\x89PNG")


def test_check_shows_the_sampled_mass_of_every_atom() -> None:
    net = Network(depth=4, q_star=0.3, **HARD)
    pred, ensemble = predict(net), sample(net, width=60, samples=4)
    figure = check_figure(pred, [ensemble])
    lines = [line for axes in figure.axes for line in axes.lines if line.get_marker() == "s"]
    squares = [line for line in lines if np.size(line.get_xdata())]
    assert len(squares) == 1
    masses = [atom.mass for atom in pred.singular_values.atoms]
    # Fractions of 60·4 neurons and layers: binomial, five standard deviations.
    np.testing.assert_allclose(np.asarray(squares[0].get_ydata(), float), masses, atol=5 * np.sqrt(0.25 / 60))
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["sampled", "sampled mass", "prediction"]


@pytest.mark.parametrize("keys", [HE | {"depth": 3}, HARD | {"depth": 3, "q_star": 0.5}])
def test_every_axis_is_labelled(keys) -> None:
    pred = predict(Network(**keys))
    for figure in (prediction_figure(pred), comparison_figure([("one", pred), ("two", pred)])):
        density, mass = figure.axes
        assert density.get_xlabel() == "singular value s of J"
        assert density.get_ylabel() in ("density of s", "density of ln s")
        assert mass.get_ylabel() == "mass of an atom (stems)"
        assert density.get_title()


def checked(keys: dict[str, Any], width: int, samples: int = 6) -> Any:
    from spectra.agreement import crosscheck

    net = Network(**keys)
    pred, ensemble = predict(net), sample(net, width=width, samples=samples)
    return check_figure(pred, [ensemble], crosscheck(pred, ensemble))


PAGES = {
    "decades": HE | {"depth": 6},
    "linear": HE | {"depth": 1},
    "atoms": {
        "depth": 1,
        "activation": {"name": "leaky_relu", "negative_slope": 0.2},
        "weights": "orthogonal",
        "sigma_w": 1.0,
        "input_variance": 1.0,
    },
    "hard": HARD | {"depth": 4, "q_star": 0.3},
}


@pytest.mark.parametrize("name", PAGES)
def test_every_panel_of_a_check_is_filled_and_named(name: str) -> None:
    figure = checked(PAGES[name], 40)
    panels = [axes for axes in figure.axes if not axes.get_label().startswith("mass")]
    titles = [axes.get_title() for axes in panels]
    assert titles[0].startswith("width 40, 6 networks")
    assert titles.count("convergence to infinite width") == 2
    assert "quantiles against quantiles" in titles
    assert any(title.startswith("upper edge") for title in titles) == (name != "atoms")
    # The spectrum is there against log s, too, or from the first.
    logarithmic = [axes for axes in panels if axes.get_ylabel() == "density of ln s"]
    assert bool(logarithmic) == (name != "atoms")
    assert len(panels) % 2 == 0
    for axes in panels:
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        assert axes.lines or axes.patches
    figure.canvas.draw()


def labels(axes: Any) -> list[Any]:
    """Labels of ticks that are drawn, left to right."""
    low, high = sorted(axes.get_xlim())
    return [t.label1 for t in axes.xaxis.get_major_ticks() if low <= t.get_loc() <= high and t.label1.get_text()]


@pytest.mark.parametrize("name", PAGES)
def test_labels_of_ticks_do_not_overlap(name: str) -> None:
    figure = checked(PAGES[name], 40)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    for axes in figure.axes:
        drawn = [label.get_window_extent(renderer) for label in labels(axes)]
        assert not any(a.overlaps(b) for a, b in itertools.pairwise(drawn))


def test_fits_pass_through_their_intercepts() -> None:
    from spectra.agreement import crosscheck

    net = Network(depth=2, **HE)
    pred, ensemble = predict(net), sample(net, width=40, samples=6)
    result = crosscheck(pred, ensemble)
    figure = check_figure(pred, [ensemble], result)
    moments = next(axes for axes in figure.axes if "moment" in axes.get_ylabel())
    fits = [line for line in moments.lines if np.size(line.get_xdata()) == 100]
    assert len(fits) == 4
    for line, found in zip(fits, result.extrapolated, strict=True):
        assert np.asarray(line.get_ydata())[0] == pytest.approx(found.fit[0])
        low, high = moments.get_ylim()
        assert low < found.fit[0] < high


def test_the_edge_is_enlarged_about_the_largest_singular_values() -> None:
    figure = checked(PAGES["linear"], 60)
    axes = next(axes for axes in figure.axes if axes.get_title().startswith("upper edge"))
    low, high = axes.get_xlim()
    edge = 1 + 2**0.5  # √2 (√½ + 1): one layer of half-dead units
    assert 0.6 * edge < low < edge < high < 1.3 * edge
    ticks = next(line for line in axes.lines if line.get_marker() == "|")
    assert np.size(ticks.get_xdata()) == 6


@pytest.mark.parametrize("limits", [(0.13, 3.2), (0.7, 1.6), (1e-7, 20.0)])
def test_labels_of_a_logarithmic_scale_do_not_overlap(limits: tuple[float, float]) -> None:
    figure, (axes, *_) = page(2)
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    between_decades(axes, (axes.xaxis,))
    figure.draw_without_rendering()
    labels = [*axes.xaxis.get_majorticklabels(), *axes.xaxis.get_minorticklabels()]
    shown = [t for t in labels if t.get_text() and limits[0] <= t.get_position()[0] <= limits[1]]
    assert len(shown) >= 1
    boxes = sorted((t.get_window_extent().x0, t.get_window_extent().x1) for t in shown)
    assert all(end < start for (_, end), (start, _) in pairwise(boxes))


def test_a_law_of_two_bulks_is_drawn_up_to_the_higher_one() -> None:
    """Where both can be seen; a density that diverges, or flattens another, is cut off."""
    from spectra.plot import law_figure

    def top(text: str) -> float:
        return float(law_figure(parse_law(text).spectrum(), "").axes[0].get_ylim()[1])

    # Half of Marchenko and Pastur's law of ratio 1/10, or nearly so: its peak is 0.8.
    assert top("MP(1/10) * discrete([1, 10])") > 0.78
    # A semicircle of half of the mass and radius 2/√1000 is 5 high, the rest 0.1.
    assert top("semicircle(1/1000) + discrete([0, 5]) * MP(1)") < 0.2
    assert top("MP(1)") < 10.0
