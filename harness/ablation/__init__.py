"""Variants of a model as a source of trainings, and schedules as variants."""
