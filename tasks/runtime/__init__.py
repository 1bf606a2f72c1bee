"""What every flow run needs while it lives: liveness, cancellation, progress, delivery."""
