"""What a detector costs, how fast and how accurate it is, and where that was measured."""
