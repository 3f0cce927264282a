"""What every room may use and knows none of them: errors, atomic writes, the machine, locks, folders."""
