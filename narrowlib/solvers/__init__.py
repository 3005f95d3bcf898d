"""Solvers of the training problem, with and without constraints."""
