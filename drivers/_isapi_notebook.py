"""How far a device's records have been told, kept for the run after; and what was said of it. (No driver.)"""

from datetime import datetime

from drivers._isapi_ledger import Ledger
from gateway.driver import Link
from gateway.errors import StorageError, Text

MOST_SAID = 16  # sentences that are written to the log once


class Notebook:
    """Of one device."""

    def __init__(self, device: str, link: Link) -> None:
        self.ledger = Ledger()  # to be looked at; `store` a changed copy
        self._device, self._link = device, link
        self._said: set[str] = set()

    def recall(self) -> None:
        """What was kept by the run before. StorageError: it may be there, but cannot be read."""
        try:
            self.ledger = Ledger.load(self._link.kept(self._name))
        except ValueError:
            self._link.log.warning("%s: which records it has told is not known any more", self._device)

    def store(self, ledger: Ledger) -> None:
        """Counts what is on disk. Where this itself is not kept, it costs repetitions after a restart, no more."""
        counted = ledger.last != self.ledger.last or ledger.holes != self.ledger.holes
        self.ledger = ledger
        if counted:
            self._keep()

    def begin(self, last: int, newest: datetime | None) -> None:
        """The device's memory so far is from before our time."""
        self.ledger.begin(last, newest)
        self._keep()

    def settle(self) -> None:
        """Nothing is missing up to now."""
        if self.ledger.holes or self.ledger.since != self.ledger.newest:
            self.ledger.settle()
            self._keep()

    def say(self, text: Text) -> None:
        """Into the log, once in this run."""
        if text.en not in self._said and len(self._said) < MOST_SAID:
            self._said.add(text.en)
            self._link.log.warning("%s: %s", self._device, text.en)

    def _keep(self) -> None:
        try:
            self._link.keep(self._name, self.ledger.dump())
        except StorageError as error:
            self.say(error.what)

    @property
    def _name(self) -> str:
        return f"isapi-{self._device}"
