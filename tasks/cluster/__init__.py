"""Work on the machines of a Ray cluster, which `NLI_RAY` names."""
