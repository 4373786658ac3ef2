"""Diagnostics in one file, for whoever helps: how the gateway is, and its configuration without secrets.

A tar in the state folder's `bundles/`, mode 0600. No password, key or token stands in it, no card, no holder's name.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.config import Config
from gateway.whole import put_whole

FOLDER = "bundles"
MOST_KEPT = 3  # older ones go


@dataclass(frozen=True)
class Bundle:
    """One that has been written."""

    path: Path
    bytes: int
    sha256: str


def configured(config: Config) -> dict[str, Any]:
    """The configuration as it runs, secrets as asterisks; of credentials only how many there are."""
    told: dict[str, Any] = config.model_dump(mode="json", exclude={"credentials"}, exclude_none=True)
    if config.credentials is not None:
        told["credentials"] = {"count": len(config.credentials.list)}
    return told


def packed(documents: Mapping[str, Any], now: datetime) -> bytes:
    """A gzipped tar with one JSON file for each document."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, document in documents.items():
            text = json.dumps(document, ensure_ascii=False, indent=1, default=str).encode()
            member = tarfile.TarInfo(f"bundle/{name}.json")
            member.size, member.mtime, member.mode = len(text), int(now.timestamp()), 0o600
            tar.addfile(member, io.BytesIO(text))
    return made.getvalue()


def write(state_dir: Path, body: bytes, now: datetime) -> Bundle:
    """Whole or not at all; the oldest go. OSError."""
    folder = state_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"bundle-{now:%Y%m%dT%H%M%S.%fZ}.tar.gz"
    put_whole(path, body)
    for old in sorted(folder.glob("bundle-*.tar.gz"))[:-MOST_KEPT]:
        old.unlink(missing_ok=True)
    return Bundle(path, len(body), hashlib.sha256(body).hexdigest())
