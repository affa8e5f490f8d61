"""Shared by the example and the tests: the routes that only the local stack has, and callers with its tokens."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import httpx

from live_classes import live_classes
from live_classes.rest import AuthenticatedClient

BASE = os.environ.get("LIVE_CLASSES_URL", "http://localhost:4000")
_stack = httpx.Client(base_url=BASE, timeout=60)


def local(path: str, body: dict[str, Any] | None = None) -> Any:
    """Calls a route that only the local stack has."""
    response = _stack.post(path, json=body or {})
    if response.is_error:
        raise RuntimeError(f"{path}: {response.status_code} {response.text}")
    return response.json() if response.content else None


def look(path: str) -> Any:
    """Reads a route that only the local stack has."""
    return _stack.get(path).json()


def clear_faults() -> None:
    _stack.delete("/local/faults")


def token(sub: str, role: str, email: str | None = None) -> str:
    return str(local("/local/tokens", {"sub": sub, "role": role, **({"email": email} if email else {})})["token"])


def caller(sub: str, role: str, email: str | None = None) -> AuthenticatedClient:
    """A client for one caller."""
    return live_classes(BASE, lambda: token(sub, role, email))


def expect(label: str, value: object, expected: object) -> None:
    """Ends the program with an error unless the value is the expected one."""
    print(f"{label:34}{value}")
    if value != expected:
        sys.exit(f"{label}: {value!r} instead of {expected!r}")


def attempts(number: int) -> Iterator[int]:
    """Runs the sweep that finishes what a queue has left, before each attempt but the first."""
    for attempt in range(number):
        if attempt:
            local("/local/schedules/meeting-sweep/run")
        yield attempt
