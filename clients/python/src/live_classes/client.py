"""A client for one caller: token, limits of time, retries, and errors of one kind."""

import uuid
from collections.abc import Callable, Generator
from typing import TypeVar, cast

import httpx

from .errors import LiveClassesError, ProblemError
from .rest import AuthenticatedClient
from .rest.models import Problem
from .rest.types import Response
from .transport import ATTEMPTS, RepeatingTransport

T = TypeVar("T")

TIMEOUT_SECONDS = 35.0
"""For each attempt. The API responds within 30 seconds."""
CONNECT_SECONDS = 5.0


class _CallersToken(httpx.Auth):
    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = f"Bearer {self._token()}"
        yield request


def _raise_problem(response: httpx.Response) -> None:
    if response.status_code >= 400:
        response.read()
        raise ProblemError(response)


def live_classes(
    base_url: str,
    token: Callable[[], str],
    *,
    timeout: float = TIMEOUT_SECONDS,
    attempts: int = ATTEMPTS,
    transport: httpx.BaseTransport | None = None,
) -> AuthenticatedClient:
    """Returns a client for one caller. Threads may share it.

    `token` returns the caller's token and is called for each request, so cache it until it expires. `attempts` is the
    number of attempts of a request that is safe to repeat. Pass the client to the functions `sync_detailed` of
    `live_classes.rest.api`.
    """
    client = httpx.Client(
        base_url=base_url,
        auth=_CallersToken(token),
        timeout=httpx.Timeout(timeout, connect=CONNECT_SECONDS),
        transport=RepeatingTransport(transport or httpx.HTTPTransport(), attempts),
        event_hooks={"response": [_raise_problem]},
    )
    return AuthenticatedClient(base_url=base_url, token="").set_httpx_client(client)


def answer(response: Response[T | Problem]) -> T:
    """Returns the body of a success. An error has already been raised by the call: `ProblemError` or `NetworkError`.

    An operation without a body, such as a DELETE, returns `None`. So does a 304 response to `If-None-Match`.
    """
    if response.parsed is None and response.content:
        raise LiveClassesError(f"The API answered {int(response.status_code)} in an unknown form.")
    return cast(T, response.parsed)


def idempotency_key() -> str:
    """Returns a new key. Send the same key with every repetition of a request, also after a restart of your process."""
    return str(uuid.uuid4())
