"""Fine-tuning: the loop, its optimiser and schedule, and checkpoints that it goes on from bit for bit."""
