"""Picture files to arrays and back. May import errors only."""
