"""The VAE and the file of its weights. May import entropy, format and metrics."""
