"""Weight files that ship with the package, found by vaecodec.weights through importlib.resources."""
