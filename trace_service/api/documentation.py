"""What the OpenAPI document says beyond the routes themselves."""

from typing import Any, Final

from pydantic import BaseModel

SUMMARY: Final = (
    "Alerts, stock and proposals of one brand. Log in with `POST /api/v1/session` and send the token as "
    "`Authorization: Bearer …`. Errors are problem+json (RFC 9457) with a stable `code` and an `advice`."
)


class Problem(BaseModel):
    """A refused request."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    advice: str


_REASONS: Final = {
    401: "Not signed in",
    403: "The request did not come from a page of this console",
    404: "Nothing of that name for this brand",
    409: "Already decided",
    422: "A parameter is missing or malformed",
    429: "Too many failed log-ins",
    503: "No capacity at this moment",
}
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": text, "content": {"application/problem+json": {"schema": Problem.model_json_schema()}}}
    for status, text in _REASONS.items()
}
