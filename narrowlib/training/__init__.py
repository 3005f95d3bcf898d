"""Training Flax modules with Optax, inside a feasible set."""
