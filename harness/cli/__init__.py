"""The program `clo`: one file a command."""
