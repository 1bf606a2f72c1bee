"""Looking at the surroundings: preflight, doctor, status, pruning."""
