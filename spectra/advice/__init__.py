"""Advice: σ_w and σ_b for a target, and a verdict on those that are given."""

from .audit import Audit as Audit
from .audit import audit as audit
from .search import critical_family as critical_family
from .targets import Target as Target
from .tune import Tuned as Tuned
from .tune import tune as tune
