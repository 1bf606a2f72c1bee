"""The trust report: what a run's number can be read against, on one page, and as a model card."""
