"""Figures: of predictions, comparisons, checks, laws on the line, great depth. The only importer of matplotlib."""

from .along import along_figure as along_figure
from .bench import bench_figure as bench_figure
from .check import check_figure as check_figure
from .estimates import estimate_figure as estimate_figure
from .laws import law_figure as law_figure
from .limits import approach_figure as approach_figure
from .limits import gaussian_figure as gaussian_figure
from .page import FORMATS as FORMATS
from .page import figure_bytes as figure_bytes
from .phase import phase_figure as phase_figure
from .singular_values import comparison_figure as comparison_figure
from .singular_values import prediction_figure as prediction_figure
from .slopes import slopes_figure as slopes_figure
