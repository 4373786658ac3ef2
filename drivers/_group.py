"""What ends a task group, as the error that it is. (An underscore: no driver.)"""

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import GatewayError


@contextmanager
def as_itself(kind: type[GatewayError] = GatewayError) -> Iterator[None]:
    """Of what tasks in the block failed with, the first error of a kind, alone; a group without one goes on."""
    try:
        yield
    except ExceptionGroup as failed:
        ours = failed.subgroup(kind)
        if ours is None:
            raise
        raise ours.exceptions[0] from failed
