"""Chunks to bytes and back: the .vae file. May import errors only."""
