"""The errors of a call. Both kinds are a `LiveClassesError`."""

import json
from dataclasses import dataclass
from typing import Any

import httpx


class LiveClassesError(Exception):
    """A call that did not succeed."""


class NetworkError(LiveClassesError):
    """There was no response, as without a connection. The operation may have been carried out."""


@dataclass(frozen=True)
class FieldError:
    """An invalid field. `message` is a text that follows the name of the field."""

    field: str
    message: str


class ProblemError(LiveClassesError):
    """A response with an error. Decide by its `code`. `str(error)` is a sentence for people."""

    status: int
    """The status of the response."""
    code: str
    """A stable code of the API, or `gateway` if the response did not come from it, as when the gateway throttles."""
    errors: tuple[FieldError, ...]
    """The invalid fields, with `validation_failed`."""
    request_id: str | None
    """Identifies the request in the log."""
    retry_after: float | None
    """The seconds after which to try again, if the API sent them."""
    problem: dict[str, Any]
    """The whole body. It has further members with some codes, such as `opens_at` with `too_early`."""

    def __init__(self, response: httpx.Response) -> None:
        body = _json_object(response.content)
        is_problem = isinstance(body.get("code"), str) and isinstance(body.get("detail"), str)
        super().__init__(body["detail"] if is_problem else f"The API answered {response.status_code}.")
        self.status = response.status_code
        self.code = body["code"] if is_problem else "gateway"
        self.problem = body if is_problem else {}
        listed = self.problem.get("errors", [])
        self.errors = tuple(FieldError(error["field"], error["message"]) for error in listed)
        self.request_id = self.problem.get("request_id")
        self.retry_after = retry_after(response)

    def of(self, field: str) -> str | None:
        """Returns the message for a field, such as `starts_at`."""
        return next((error.message for error in self.errors if error.field == field), None)


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def retry_after(response: httpx.Response) -> float | None:
    """Returns the seconds in `Retry-After`. The API sends no dates."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None
