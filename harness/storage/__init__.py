"""A study on disk or on a database server, and what several machines do to it."""
