"""Sampled Jacobians of networks of finite width."""

from .elsewhere import measured as measured
from .elsewhere import read_singular_values as read_singular_values
from .ensemble import Ensemble as Ensemble
from .memory import Estimate as Estimate
from .memory import estimate as estimate
from .memory import refuse_beyond_memory as refuse_beyond_memory
from .run import Progress as Progress
from .run import companions as companions
from .run import sample as sample
