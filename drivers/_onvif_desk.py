"""One ONVIF device as the gateway knows it: what it has told. (An underscore: no driver.)"""

from xml.etree.ElementTree import Element

from drivers._onvif_config import Config
from drivers._onvif_notes import Channels, notes_in, sightings
from drivers._onvif_states import States
from gateway.driver import Link
from gateway.errors import Text
from gateway.event import Phase, Reading

MOST_SAID = 16  # sentences that are written to the log once
EVENTS = "events"  # part: the way in which it tells
_GATEWAYS_OWN = ("device.offline", "device.shielded", "device.test", "device.end_of_life")  # never ours to clear


class Desk:
    """Of one device."""

    def __init__(self, config: Config, link: Link) -> None:
        self.config = config
        self.channels = Channels()
        self._link = link
        self._states = States(config.clear_after, never_false=config.never_false)
        ours = [key for key in link.active(config.id) if key[0] not in _GATEWAYS_OWN and key[1] != EVENTS]
        self._states.restore(config.id, ours)
        self._synchronized = False  # it has said how it is, in this subscription
        self._said: set[str] = set()

    async def take(self, body: Element) -> int:
        """An answer's notifications, and how many there were. StorageError: nothing of them was accepted."""
        states, found = self._states.copy(), notes_in(body)
        synchronized = self._synchronized or any(note.initial for note in found)
        if synchronized and not self._synchronized:
            states.doubt(self._now(), told=True)
        seen = [sighting for note in found for sighting in sightings(self.config, note, self.channels)]
        news = [states.see(sighting, self._now()) for sighting in seen]
        told = [reading for reading in news if reading is not None]
        if told:
            await self._link.emit(*told)
        self._states, self._synchronized = states, synchronized
        if states.crowded:
            self.say(Text("it tells of more states than are kept apart", "其状态数量超过上限"))
        return len(found)

    async def expire(self) -> None:
        """Tells what has ended because nobody spoke of it any more. StorageError."""
        if self._states.due_s() <= self._now():
            states = self._states.copy()
            told = states.silent(self._now())
            if told:
                await self._link.emit(*told)
            self._states = states

    def due_s(self) -> float:
        """When `expire` may next have something to say (monotonic seconds)."""
        return self._states.due_s()

    def subscribed(self) -> None:
        """A new subscription: the device has to say how it is."""
        self._synchronized = False
        self._states.doubt(self._now(), told=False)

    async def trouble(self, reason: str) -> None:
        """It answers, but its events cannot be had. StorageError."""
        if ("device.fault", EVENTS) not in self._link.active(self.config.id):
            part = {"address": EVENTS}
            await self._link.emit(Reading(self.config.id, "device.fault", Phase.RAISE, part=part, reason=reason))

    async def well(self) -> None:
        """Its events come. StorageError."""
        if ("device.fault", EVENTS) in self._link.active(self.config.id):
            await self._link.emit(Reading(self.config.id, "device.fault", Phase.CLEAR, part={"address": EVENTS}))
        await self._link.seen(self.config.id)

    def say(self, text: Text) -> None:
        """Into the log, once in this run."""
        if text.en not in self._said and len(self._said) < MOST_SAID:
            self._said.add(text.en)
            self._link.log.warning("%s: %s", self.config.id, text.en)

    def _now(self) -> float:
        return self._link.clock.monotonic()
