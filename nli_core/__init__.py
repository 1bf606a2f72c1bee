"""The work itself, without an orchestrator: text in, a fine-tuned and measured BERT out.

Imports neither Prefect nor MLflow and runs where they are not installed. Each stage is a plain function that takes a
config and the folders of finished stages and leaves files in a folder; progress and metrics leave it through callables.
"""
