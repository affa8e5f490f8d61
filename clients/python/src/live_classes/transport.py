"""Sends a request, and repeats it where that is safe."""

import random
import time
from collections.abc import Callable

import httpx

from .errors import NetworkError, retry_after

ATTEMPTS = 5
"""With pauses of up to 0.5, 1, 2 and 4 seconds, unless the API asks for more."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
"""A longer wait belongs into the caller's own queue."""

IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE"})
IDEMPOTENT_POSTS = ("/cancel", "/close", "/import", "/read", "/dismiss")
"""The ends of paths of POST operations that succeed again."""
LOST = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError, httpx.ProxyError)
"""The errors after which the operation may succeed with another attempt."""
REPEATABLE_STATUSES = frozenset({429, 500, 502, 503, 504})


class RepeatingTransport(httpx.BaseTransport):
    """Repeats a request after a lost response, a server error or a limit of requests.

    It repeats only requests that have the same effect if they are carried out twice: GET, PUT and DELETE, a POST with
    an `Idempotency-Key`, and a POST that cancels, closes or imports. A request with the response 429 was not carried
    out, so any such request is repeated.
    """

    def __init__(
        self,
        inner: httpx.BaseTransport,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._inner = inner
        self._attempts = attempts
        self._sleep = sleep
        self._draw = draw

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        # A stream can be sent once, bytes again.
        request.read()
        for attempt in range(1, self._attempts + 1):
            is_last = attempt == self._attempts
            response: httpx.Response | None = None
            try:
                response = self._inner.handle_request(request)
                response.read()
            except LOST as error:
                if is_last or not is_idempotent(request):
                    raise NetworkError(f"{request.method} {request.url.path}: no response ({error!r})") from error
            if response is not None:
                pause = self._pause(request, response, attempt)
                if is_last or pause is None:
                    return response
                response.close()
            else:
                pause = self._jitter(attempt)
            self._sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        self._inner.close()

    def _pause(self, request: httpx.Request, response: httpx.Response, attempt: int) -> float | None:
        """Returns the seconds before the next attempt, or `None` if the response is final."""
        status = response.status_code
        if status not in REPEATABLE_STATUSES or not (status == 429 or is_idempotent(request)):
            return None
        asked = retry_after(response)
        if asked is None:
            return self._jitter(attempt)
        return asked + self._draw() if asked <= LONGEST_PAUSE_SECONDS else None

    def _jitter(self, attempt: int) -> float:
        """A random part of a limit that doubles, so that many callers do not return at once."""
        limit = FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1)
        return self._draw() * min(limit, LONGEST_PAUSE_SECONDS)


def is_idempotent(request: httpx.Request) -> bool:
    return (
        request.method in IDEMPOTENT_METHODS
        or "idempotency-key" in request.headers
        or request.url.path.endswith(IDEMPOTENT_POSTS)
    )
