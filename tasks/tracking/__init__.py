"""All of MLflow: finding, making, filling and publishing runs."""
