"""A fine-tuned model in use: logits, raw text, tables, a look inside."""
