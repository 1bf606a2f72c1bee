"""Token ids to packed examples and shards."""
