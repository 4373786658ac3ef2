"""The community gateway: reads a compound's devices, keeps every event on disk, tells the district."""

from datetime import UTC, datetime

__version__ = "0.1.0"
RELEASED = datetime(2026, 11, 24, tzinfo=UTC)  # of this version: whatever the clock says, it is not earlier
