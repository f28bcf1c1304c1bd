"""vaecodec: a learned image codec built on a convolutional variational autoencoder."""

__version__ = "0.1.0"
