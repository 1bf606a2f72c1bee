"""What a corpus' text alone says about it: baselines, give-away words, duplicates."""
