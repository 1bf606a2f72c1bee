"""What a model does with changed texts, without labels."""
