"""Text in, Arrow shards out: reading, tokenizing, truncating, packing and batching."""
