"""A booking engine's back end: a class by the booking's own id, its payment, and the attendance afterwards.

`python example/booking.py` plays a booking against `cargo local`, or against the stack at LIVE_CLASSES_URL. The first
unexpected response ends it with an error.
"""

import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from live_classes import ProblemError, answer
from live_classes.rest import AuthenticatedClient
from live_classes.rest.api.attendance import get_attendance
from live_classes.rest.api.classes import cancel_session_by_ref, join_session, upsert_session
from live_classes.rest.api.directory import put_user
from live_classes.rest.api.hosts import put_host
from live_classes.rest.api.payments import put_payment, refund_payment, show_payment
from live_classes.rest.models import (
    AttendanceReport,
    HostRequest,
    InviteeByAddress,
    InviteeById,
    OwnerSession,
    Payment,
    PaymentRequest,
    UpsertSession,
    User,
)
from stack import attempts, caller, clear_faults, expect, local

TRAINER = "trainer-2"
STUDENT = "student-9"
GUEST = "mia@example.test"


@dataclass(frozen=True)
class Booking:
    """A booking as the engine stores it."""

    id: str
    starts_at: datetime
    minutes: int = 45


def save(api: AuthenticatedClient, booking: Booking) -> OwnerSession:
    """Confirms a booking or moves it. The class is found by the booking's id, so the request is safe to repeat."""
    body = UpsertSession(
        trainer_id=TRAINER,
        title="Piano",
        audience_type="invitees",
        invitees=[InviteeById(user_id=STUDENT), InviteeByAddress(email=GUEST, name="Mia")],
        starts_at=booking.starts_at,
        duration_minutes=booking.minutes,
    )
    return answer(upsert_session.sync_detailed(f"booking-{booking.id}", client=api, body=body))


def cancel(api: AuthenticatedClient, booking: Booking) -> OwnerSession:
    return answer(cancel_session_by_ref.sync_detailed(f"booking-{booking.id}", client=api))


def pay(api: AuthenticatedClient, payment_id: str) -> Payment:
    """Reports a payment for a course. Equal requests with one id count once."""
    body = PaymentRequest(user_id=STUDENT, course_id="course-1")
    return answer(put_payment.sync_detailed(payment_id, client=api, body=body))


def attendance(api: AuthenticatedClient, session: OwnerSession) -> AttendanceReport:
    return answer(get_attendance.sync_detailed(session.id, client=api))


def prepare(api: AuthenticatedClient) -> None:
    """Lets the platform's own Zoom account host the classes of the trainer, so that nobody has to log in at Zoom."""
    host = HostRequest(email="tom@example.test", create="auto", licence="permanent")
    answer(put_host.sync_detailed(TRAINER, client=api, body=host))
    local("/local/schedules/meeting-sweep/run")
    user = User(email="trainer2@example.test", name="Tom", role="trainer", plan="pro", hosting="platform")
    answer(put_user.sync_detailed(TRAINER, client=api, body=user))


def in_state(api: AuthenticatedClient, payment_id: str, state: str) -> Payment:
    """A queue carries a payment out at once. The sweep finishes it if that fails."""
    for _ in attempts(20):
        payment = answer(show_payment.sync_detailed(payment_id, client=api))
        if payment.state == state:
            return payment
        time.sleep(0.5)
    raise TimeoutError(f"the payment does not become {state}")


def book(api: AuthenticatedClient) -> None:
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    booking = Booking(str(uuid.uuid4()), soon + timedelta(days=2))
    # Zoom fails for a moment. The client repeats the request.
    local("/local/faults", {"service": "zoom", "operation": "create_meeting", "kind": "error"})
    made = save(api, booking)
    clear_faults()
    expect("Confirmed twice, the same class", save(api, booking).id, made.id)
    moved = save(api, Booking(booking.id, soon))
    expect("Moved, the same class", moved.id, made.id)
    expect("Moved to", moved.starts_at, soon)
    try:
        save(api, Booking(booking.id, soon, minutes=5))
    except ProblemError as error:
        expect("A class of five minutes", error.code, "validation_failed")
        expect("  with an error of the field", [field.field for field in error.errors], ["duration_minutes"])

    teach(moved)
    report = attendance(api, moved)
    joined = [attendee.user_id for attendee in report.attendees if attendee.connections]
    expect("In the meeting were", joined, [STUDENT])

    other = Booking(str(uuid.uuid4()), soon + timedelta(days=9))
    save(api, other)
    cancel(api, other)
    expect("Cancelled twice, the class is", cancel(api, other).status, "cancelled")


def teach(session: OwnerSession) -> None:
    """The trainer and the student join, and the meeting ends."""
    meeting = f"/zoom/sim/meetings/{session.meeting.id}"
    local(f"{meeting}/start")
    student = caller(STUDENT, "student", "student9@example.test")
    joined = answer(join_session.sync_detailed(session.id, client=student))
    local(f"{meeting}/join", {"name": "Sam", "customer_key": joined.customer_key})
    local(f"{meeting}/end")


def main() -> None:
    api = caller("booking-engine", "service")
    prepare(api)
    book(api)
    payment_id = f"pay-{uuid.uuid4()}"
    pay(api, payment_id)
    pay(api, payment_id)
    expect("Paid twice, enrolled", in_state(api, payment_id, "done").enrollment, "granted")
    answer(refund_payment.sync_detailed(payment_id, client=api))
    expect("Refunded, the place is", in_state(api, payment_id, "refunded").enrollment, "withdrawn")


if __name__ == "__main__":
    main()
