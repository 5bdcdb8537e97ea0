"""fit: settings, optimizers, schedules, epochs and callbacks."""
