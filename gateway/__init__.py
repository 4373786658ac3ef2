"""The community gateway: reads a compound's devices, keeps every event on disk, tells the district."""

__version__ = "0.1.0"
