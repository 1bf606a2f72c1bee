"""Fine-tuning: the loop, its optimiser and schedule, and checkpoints from which it resumes bit for bit."""
