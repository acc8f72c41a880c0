"""Eigenvalues of JJᵀ above its law: directions that the signal itself marks out, one in each, of N."""

from __future__ import annotations

from .course import passages_of as passages_of
from .network import marked_passages as marked_passages
from .network import network_outliers as network_outliers
from .passage import Passage as Passage
from .secular import Outlier as Outlier
from .secular import outliers as outliers
