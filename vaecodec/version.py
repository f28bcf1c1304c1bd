"""The version, where whatever states it finds it without importing the package's names."""

__version__ = "0.1.0"
