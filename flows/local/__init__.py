"""Running flows here, without a worker."""
