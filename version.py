"""The version, for every layer: this module imports nothing."""

__version__ = "0.1.0"
