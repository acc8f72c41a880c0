"""Pages and files of figures, on `matplotlib.figure.Figure` itself, never on pyplot: no window, no global state."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")
# Okabe and Ito's palette, told apart by colour-blind readers; their yellow is too pale for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def figure_bytes(figure: Figure, file_format: str = "png") -> bytes:
    """Return a figure as the content of a file.

    Raises
    ------
    ValueError : a format other than png, pdf and svg.
    """
    if file_format not in FORMATS:
        raise ConfigError(f"`{file_format}`: figures are written as {', '.join('.' + name for name in FORMATS)}.")
    stream = io.BytesIO()
    # Without a date two runs give the same bytes.
    figure.savefig(
        stream, format=file_format, dpi=150, metadata=None if file_format == "png" else _undated(file_format)
    )
    return stream.getvalue()


def _undated(file_format: str) -> dict[str, None]:
    return {"CreationDate": None} if file_format == "pdf" else {"Date": None}


def page(panels: int, height: float = 4.2) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, at most two side by side, and these."""
    from matplotlib.figure import Figure

    columns = min(panels, 2)
    rows = -(-panels // columns)
    figure = Figure(figsize=(7.2 if columns == 1 else 11.0, height if rows == 1 else 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for unused in axes[panels:]:
        unused.remove()
    return figure, axes[:panels]


def between_decades(axes: Axes, which: Sequence[Axis]) -> None:
    """Ticks at 1, 2 and 5 where a logarithmic scale has few decades: labels of all between would overlap."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for axis in which:
        low, high = axes.get_xlim() if axis is axes.xaxis else axes.get_ylim()
        if high < 300.0 * low:
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
