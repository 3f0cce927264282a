"""What a detector costs without being trained: parameters, MACs, activation bytes, for one or for a whole space."""
