"""A refusal as a browser is shown it: a page in the frame, where it came for one."""

from fastapi import Request
from fastapi.responses import Response

from gateway.errors import Text
from gateway.web.frame import Frame


def shown(frame: Frame, request: Request, status: int, what: Text, do: Text | None) -> Response | None:
    """The page; None: it is no browser, or nobody who is known, or it asked for something else than a view."""
    wants = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    inside = getattr(request.state, "visitor", None) is not None and not request.url.path.startswith("/api/")
    if not (wants and inside) or "hx-request" in request.headers:
        return None
    return frame.page(request, "problem", "problem.html", status=status, speaks="login", what=what, do=do)
