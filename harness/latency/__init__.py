"""What a detector takes on this machine: interleaved timing, its interval, and the model that predicts it."""
