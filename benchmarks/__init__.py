"""Benchmarks.

Each checks its answers before it reports a figure: `python -m benchmarks NAME`.
"""
