"""Whether sampled Jacobians agree with the predicted spectrum, within uncertainties that are derived, not tuned."""

from .records import AtomRecord as AtomRecord
from .records import CrossCheck as CrossCheck
from .records import EdgeRecord as EdgeRecord
from .records import ExtrapolatedMoment as ExtrapolatedMoment
from .records import FiniteMomentRecord as FiniteMomentRecord
from .records import MomentRecord as MomentRecord
from .records import ScatterRecord as ScatterRecord
from .records import ShapeRecord as ShapeRecord
from .records import WidthRecord as WidthRecord
from .rounding import measured_zeros as measured_zeros
from .verdict import FALSE_ALARM_RATE as FALSE_ALARM_RATE
from .verdict import crosscheck as crosscheck
