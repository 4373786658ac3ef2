"""Files that are there whole or as they were before, whatever becomes of the power."""

import os
from pathlib import Path


def put_whole(path: Path, content: bytes) -> None:
    """Written aside (only its owner reads it), synced, renamed, folder synced. OSError."""
    aside = path.with_name(f"{path.name}~")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
