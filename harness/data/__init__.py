"""The embedded digits data set, and checks of a user's own."""
