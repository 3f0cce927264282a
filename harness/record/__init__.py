"""The record of a study as data: settings, states, keys, trials, tables and their schema; no torch, no Optuna."""
