"""What a fine-tuned model is worth: predictions, metrics with intervals, figures."""
