"""Whose a message is: names, addresses, ids by a pattern; who is not configured. (An underscore: no driver.)"""

from collections.abc import Mapping
from typing import Any

from drivers._mapping import at
from drivers._mqtt_config import Config
from drivers._mqtt_device import Device
from drivers._mqtt_found import Find, Finds, cleaned, id_of
from drivers._mqtt_profile import Inventory, Topic
from gateway.driver import Link
from gateway.errors import BadInput, Text


class Directory:
    """The devices of one hub, as it calls them."""

    def __init__(self, hub: Config, devices: Mapping[str, Device], link: Link) -> None:
        self.listed = False  # the hub has said which devices it has, in this connection
        self.finds = Finds(hub.id, link.log.info)
        self._hub = hub
        self._devices = devices
        self._link = link
        self._names: dict[str, str] = {}  # name in topics → address that stays
        self._abouts: dict[str, str] = {}  # address → what it is called, maker, model
        self._by_address = {_same(d.config.address): d for d in devices.values() if d.config.address}

    def _made(self, name: str, address: str, names: Mapping[str, str], body: Any = None) -> str | None:
        return id_of(self._hub.ids, {**names, "device": name, "address": address, "name": name}, body)

    def known(self, name: str, names: Mapping[str, str], body: Any = None) -> Device | None:
        """The device of a name; None: it is not in the configuration, or more is needed to know."""
        address = self._names.get(name, name)
        found = self._by_address.get(_same(address)) or self._by_address.get(_same(name))
        if found is not None:
            return found
        made = self._made(name, address, names, body)
        return self._devices.get(made) if made is not None else None

    def whose(self, topic: Topic, names: Mapping[str, str], body: Any) -> Device | None:
        """The device; None: it is not in the configuration, which is told once. BadInput: it does not say."""
        named = at(body, topic.device) if topic.device is not None else names.get("device")
        if not isinstance(named, str) or not named:
            raise BadInput(self._hub.id, Text("it does not say whose it is", "报文未说明属于哪个设备"))
        found = self.known(named, names, body)
        if found is None:
            self._find(named, names, body)
        return found

    def _find(self, name: str, names: Mapping[str, str], body: Any = None) -> None:
        address = self._names.get(name, name)
        about = self._abouts.get(address) or cleaned(name)
        self.finds.tell(Find(address, self._made(name, address, names, body), about, self._link.clock.utc()))

    def take(self, inventory: Inventory, body: Any) -> None:
        """The hub says which devices it has. BadInput: it does not."""
        if not isinstance(body, list):
            raise BadInput(self._hub.id, Text("the inventory is no list", "设备清单不是列表"))
        self.listed, self._names, self._abouts = True, {}, {}
        for item in body:
            name, address = at(item, inventory.name), at(item, inventory.address)
            skipped = inventory.skip is not None and inventory.skip.find(item)[0] == "skip"
            if isinstance(name, str) and isinstance(address, str) and not skipped:
                self._names[name] = address
                about = [name, *(at(item, path) for path in inventory.about)]
                self._abouts[address] = ", ".join(filter(None, map(cleaned, about)))
        for name in self._names:
            if self.known(name, {}) is None:
                self._find(name, {})


def _same(address: str) -> str:
    return address.strip().lower()
