"""The BERT encoder, its classifier head, and their weights on disk. Knows nothing of corpora or shards."""
