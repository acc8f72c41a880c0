"""The same engine in exact and in ball arithmetic: series over any ring, moments, and numbers to any precision.

Imported where it is asked for only: it needs FLINT and sympy.
"""
