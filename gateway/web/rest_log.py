"""`/api/v1/audit`: who did what, when, from where."""

from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, Query

from gateway import audit
from gateway.house import House
from gateway.web import models
from gateway.web.inputs import Limit
from gateway.web.rest import router
from gateway.web.visitor import needs


def add(app: FastAPI, house: House) -> None:
    """The route."""
    api = router("log")

    @api.get("/audit", operation_id="audit", summary="The audit log, newest first, by pages",
             dependencies=[needs("audit").depends], response_model=models.AuditLines,
             response_model_exclude_unset=True)  # fmt: skip
    async def lines(
        limit: Limit = 50,
        before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")] = None,
    ) -> Any:
        count = (await house.store.read(audit.newest)).count
        upper = min(count, before - 1) if before else count
        read = partial(audit.lines, after=max(0, upper - limit), limit=limit)
        found = [{"n": n} | entry for n, entry in await house.store.read(read) if n <= upper]
        more = {"next": found[0]["n"]} if found and found[0]["n"] > 1 else {}
        return {"lines": found[::-1]} | more

    app.include_router(api)
