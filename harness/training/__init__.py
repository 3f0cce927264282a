"""One training: schedule, trainer, validation, child process, weights."""
