"""Which parameters a network of given sizes has, to check a weight file before any use of it."""
