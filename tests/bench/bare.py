"""What we are compared with: a plain paho publisher without storage, `python -m tests.bench.bare PORT EVENTS`.

MQTT 5, QoS 1, a window of 64, the next publish from the callback of the last PUBACK, and each event serialised with a
fresh id and time, as any publisher must. Prints one JSON object.
"""

import json
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.bench.figures import BASE, EVENT

WINDOW = 64


class Bare:
    """Publishes `total` events, one more for each that is confirmed."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.published = 0
        self.confirmed = 0
        self.done = threading.Event()
        self.connected = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.max_inflight_messages_set(WINDOW)
        self.client.on_connect = lambda *_: self.connected.set()
        self.client.on_publish = lambda *_: self._acknowledged()
        self.properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it untyped
        self.properties.ContentType = "application/cloudevents+json; charset=utf-8"
        self.properties.PayloadFormatIndicator = 1

    def publish(self) -> MQTTMessageInfo:
        """The next event."""
        self.published += 1
        event: dict[str, Any] = {
            **EVENT,
            "id": str(uuid.uuid4()),
            "time": datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "sequence": f"{self.published:016d}",
        }
        payload = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        return self.client.publish(f"{BASE}/event/access", payload, qos=1, properties=self.properties)

    def _acknowledged(self) -> None:
        self.confirmed += 1
        if self.published < self.total:
            self.publish()
        elif self.confirmed == self.total:
            self.done.set()

    def run(self, port: int) -> dict[str, float]:
        """Connects and publishes; returns rate and CPU time."""
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.connected.wait()
        began_s, cpu_s = time.perf_counter(), time.process_time()
        for _ in range(WINDOW):
            self.publish()
        self.done.wait()
        took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
        self.client.disconnect()
        self.client.loop_stop()
        return {"per_s": self.total / took_s, "cpu_s_per_10k": cpu_s / self.total * 1e4}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(Bare(int(sys.argv[2])).run(int(sys.argv[1]))) + "\n")
