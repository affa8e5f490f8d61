"""Which requests are repeated, and which errors a call raises. The inner transport returns prepared responses."""

import unittest
from collections.abc import Callable

import httpx

from live_classes import NetworkError, ProblemError, answer, live_classes
from live_classes.rest.api.capabilities import show_capabilities
from live_classes.rest.api.directory import delete_course
from live_classes.transport import RepeatingTransport, is_idempotent

PROBLEM = {
    "type": "urn:live-classes:problem:validation_failed",
    "title": "Validation failed",
    "status": 422,
    "detail": "One or more fields are invalid.",
    "code": "validation_failed",
    "request_id": "8a2f6c1e",
    "errors": [{"field": "starts_at", "message": "must lie in the future"}],
}
REQUESTS = [
    ("GET", "/v1/sessions", {}, True),
    ("PUT", "/v1/sessions/by-ref/booking-1", {}, True),
    ("DELETE", "/v1/payments/pay-1", {}, True),
    ("POST", "/v1/sessions", {"idempotency-key": "a"}, True),
    ("POST", "/v1/sessions/ses_1/cancel", {}, True),
    ("POST", "/v1/directory/import", {}, True),
    ("POST", "/v1/sessions", {}, False),
    ("POST", "/v1/zoom/connect", {}, False),
    ("POST", "/v1/sessions/ses_1/resend-invite", {}, False),
]

Prepared = httpx.Response | httpx.TransportError


class Service:
    """Answers with the prepared responses in their order, and counts the requests."""

    def __init__(self, *prepared: Prepared) -> None:
        self.prepared = list(prepared)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = self.prepared.pop(0)
        if isinstance(response, httpx.TransportError):
            raise response
        return response

    def send(self, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        transport = RepeatingTransport(httpx.MockTransport(self), sleep=self.pauses.append, draw=lambda: 0.5)
        with httpx.Client(base_url="http://api.test", transport=transport) as client:
            return client.request(method, path, headers=headers, content=b"body" if method in ("POST", "PUT") else None)


class RepetitionTest(unittest.TestCase):
    def test_only_idempotent_requests_are_repeated_after_a_lost_response(self) -> None:
        for method, path, headers, is_repeated in REQUESTS:
            with self.subTest(f"{method} {path} {headers}"):
                self.assertEqual(
                    is_idempotent(httpx.Request(method, f"http://api.test{path}", headers=headers)), is_repeated
                )
                service = Service(httpx.ReadError("lost"), httpx.Response(200))
                if is_repeated:
                    self.assertEqual(service.send(method, path, headers).status_code, 200)
                else:
                    with self.assertRaises(NetworkError):
                        service.send(method, path, headers)
                self.assertEqual(len(service.requests), 2 if is_repeated else 1)

    def test_repeated_request_has_the_same_body(self) -> None:
        service = Service(httpx.Response(503), httpx.Response(200))
        service.send("PUT", "/v1/payments/pay-1")
        self.assertEqual([request.content for request in service.requests], [b"body", b"body"])

    def test_pauses_double_and_have_a_random_length(self) -> None:
        service = Service(*[httpx.Response(502)] * 5)
        self.assertEqual(service.send("GET", "/v1/sessions").status_code, 502)
        self.assertEqual(service.pauses, [0.25, 0.5, 1.0, 2.0])

    def test_retry_after_replaces_the_pause(self) -> None:
        service = Service(httpx.Response(429, headers={"retry-after": "7"}), httpx.Response(200))
        # A limited request was not carried out, so also a POST is repeated.
        self.assertEqual(service.send("POST", "/v1/sessions").status_code, 200)
        self.assertEqual(service.pauses, [7.5])

    def test_long_retry_after_is_left_to_the_caller(self) -> None:
        service = Service(httpx.Response(429, headers={"retry-after": "3600"}))
        self.assertEqual(service.send("PUT", "/v1/sessions/ses_1").status_code, 429)
        self.assertEqual(service.pauses, [])

    def test_refused_request_is_not_repeated(self) -> None:
        for status in (400, 401, 403, 404, 409, 412, 422):
            service = Service(httpx.Response(status))
            self.assertEqual(service.send("PUT", "/v1/sessions/ses_1").status_code, status)


class ErrorTest(unittest.TestCase):
    def refusal(self, *prepared: Prepared, attempts: int = 1) -> ProblemError:
        api = live_classes(
            "http://api.test", lambda: "t", attempts=attempts, transport=httpx.MockTransport(Service(*prepared))
        )
        with self.assertRaises(ProblemError) as caught:
            answer(show_capabilities.sync_detailed(client=api))
        return caught.exception

    def test_problem_has_code_fields_and_request_id(self) -> None:
        error = self.refusal(httpx.Response(422, json=PROBLEM))
        self.assertEqual((error.status, error.code, error.request_id), (422, "validation_failed", "8a2f6c1e"))
        self.assertEqual(error.of("starts_at"), "must lie in the future")
        self.assertEqual(str(error), "One or more fields are invalid.")

    def test_unknown_code_is_kept(self) -> None:
        self.assertEqual(self.refusal(httpx.Response(409, json={**PROBLEM, "code": "new_code"})).code, "new_code")

    def test_response_of_a_gateway_has_its_own_code(self) -> None:
        for response in (
            httpx.Response(429, json={"message": "Too Many Requests"}, headers={"retry-after": "2"}),
            httpx.Response(502, text="<html>Bad Gateway</html>"),
            httpx.Response(503, json=["unexpected"]),
        ):
            self.assertEqual(self.refusal(response).code, "gateway")

    def test_retry_after_is_part_of_the_error(self) -> None:
        limited = httpx.Response(429, json=PROBLEM, headers={"retry-after": "120"})
        self.assertEqual(self.refusal(limited, attempts=5).retry_after, 120)

    def test_token_is_fetched_for_each_call(self) -> None:
        service = Service(httpx.Response(204), httpx.Response(204))
        tokens = iter(["first", "second"])
        next_token: Callable[[], str] = lambda: next(tokens)  # noqa: E731
        api = live_classes("http://api.test", next_token, transport=httpx.MockTransport(service))
        for _ in range(2):
            self.assertIsNone(answer(delete_course.sync_detailed("course-1", client=api)))
        sent = [request.headers["authorization"] for request in service.requests]
        self.assertEqual(sent, ["Bearer first", "Bearer second"])


if __name__ == "__main__":
    unittest.main()
