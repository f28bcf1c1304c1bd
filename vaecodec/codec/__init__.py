"""Pictures to .vae files and back, the order of work. May import inference and below."""
