"""Certificates: what is proved at one point, with its numbers, in a file that others check."""
