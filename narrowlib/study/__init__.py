"""Many runs: sweeps, races, experiments and their saved rows."""
