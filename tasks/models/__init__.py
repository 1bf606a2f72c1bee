"""Models by name: the registry, their files, prediction."""
