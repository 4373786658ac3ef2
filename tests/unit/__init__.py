"""Unit tests: pure parts, no I/O."""
