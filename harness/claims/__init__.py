"""What the article claims, as data; a check for each claim, and the verdicts."""
