"""Weight files, installed as `vaecodec/models`."""
