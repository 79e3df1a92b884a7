"""The version of kdflow."""

__version__ = "0.1.0"
