"""What a run is: its config, overrides, sweeps, and what each stage is made from."""
