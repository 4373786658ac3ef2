"""How a search goes along a line: every setting, every address, one after the other. (An underscore: no driver.)"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from drivers._probe import BITS_PER_BYTE, PAUSE_BYTES, Probe, open_probe, setting
from gateway.driver import Found
from gateway.errors import Text
from gateway.fields import BusConfig

Plan = tuple[BusConfig, Sequence[int]]
Call = Callable[[Probe, BusConfig, int], Awaitable[Found | bool]]  # at one address; bool: came anything but an answer?


def rounds(buses: Sequence[BusConfig], addresses: Sequence[int], first: Sequence[int]) -> Iterator[Plan]:
    """In which order a line is searched: the `first` addresses at every setting, then the others at every setting."""
    for group in ([a for a in first if a in addresses], [a for a in addresses if a not in first]):
        yield from ((bus, group) for bus in buses if group)


def longest_s(buses: Sequence[BusConfig], count: int, question_bytes: int, wait_s: float) -> float:
    """How long `count` questions take at each of `buses` where nothing answers, in seconds."""
    serial_s = sum((question_bytes + PAUSE_BYTES) * BITS_PER_BYTE / bus.baudrate for bus in buses if bus.serial)
    return count * (serial_s + wait_s * len(buses))


async def sweep(
    plans: Sequence[Plan], call: Call, hint: Callable[[Sequence[int]], Text]
) -> AsyncIterator[Found | None]:
    """What is found, None after each address. Whoever was found is not asked again at other settings.

    Where anything came that is no answer, and nobody is found at that address in the end, a Found without a device says
    so by `hint`. Unreachable: the line cannot be opened, or is gone.
    """
    found: set[int] = set()
    damaged: dict[str, list[int]] = {}
    for bus, addresses in plans:
        async with open_probe(bus) as probe:
            for address in addresses:
                result = False if address in found else await call(probe, bus, address)
                if isinstance(result, Found):
                    found.add(address)
                    yield result
                elif result:
                    damaged.setdefault(setting(bus), []).append(address)
                yield None
    for place, asked in damaged.items():
        left = [address for address in asked if address not in found]
        if left:
            yield Found(place, hint(left), {})
