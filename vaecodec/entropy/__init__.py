"""Symbols to bits and back, exact on every machine. May import errors only."""
