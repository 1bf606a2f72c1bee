"""Packed examples to batches on a device."""
