"""The stage store."""
