"""Trainings as jobs: what they work on, where they run, how far they are."""
