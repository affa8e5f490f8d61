"""A client of the HTTP API for back ends.

`live_classes.rest` has the operations and schemas, generated from openapi.yaml.
"""

from .client import answer, idempotency_key, live_classes
from .errors import FieldError, LiveClassesError, NetworkError, ProblemError

__all__ = [
    "FieldError",
    "LiveClassesError",
    "NetworkError",
    "ProblemError",
    "answer",
    "idempotency_key",
    "live_classes",
]
