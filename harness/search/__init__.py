"""The search: which candidate next, with which budget, where it runs, and what is kept."""
