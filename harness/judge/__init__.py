"""A block judged in a person's hours: what fits, then search, comparison with placebos, long training, a verdict."""
