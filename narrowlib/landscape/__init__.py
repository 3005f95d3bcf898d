"""The landscape around a point: rank, nice region, stationary points, slices, paths."""
