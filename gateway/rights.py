"""What one may be allowed, and which role is (decision 0019); machines get single rights as the scopes of their token.

Everybody who is known sees; who is on duty handles alarms and opens doors; a manager also lays covers and manages
people; an installer also configures; an auditor reads, and does nothing. `metrics` is for machines.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

Right = Literal["see", "handle", "doors", "cover", "people", "configure", "audit", "metrics"]
Role = Literal["duty", "manager", "installer", "auditor"]
RIGHTS: tuple[Right, ...] = get_args(Right)
ROLES: Mapping[Role, frozenset[Right]] = MappingProxyType(
    {
        "duty": frozenset({"see", "handle", "doors"}),
        "manager": frozenset({"see", "handle", "doors", "cover", "people", "audit"}),
        "installer": frozenset({"see", "handle", "doors", "cover", "people", "configure", "audit"}),
        "auditor": frozenset({"see", "audit"}),
    }
)
