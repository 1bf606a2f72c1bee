"""One file a kind of encoder."""
