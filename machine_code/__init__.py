"""LLVM IR -> callables: loops that are written with llvmlite, compiled for this processor and kept.

Anything that must run at the speed of the machine, and give the same bits on all of them, is
written here as LLVM's own language: the sweeps of merges (`compiler.kernels`) and the few functions
of rows that numpy would be too slow for (`ops.divergence`).
"""
