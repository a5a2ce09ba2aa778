"""Ordering the steps of a graph for the least peak memory: a library of its own, one idea a file.

from mergec.compiler.scheduling import minimise_peak
"""

from .schedule import Problem, Schedule, minimise_peak, order_problem

__all__ = ["Problem", "Schedule", "minimise_peak", "order_problem"]
