"""Running flows on the machines of a Ray cluster."""
