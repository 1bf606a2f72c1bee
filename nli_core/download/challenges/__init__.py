"""One file a challenge set."""
