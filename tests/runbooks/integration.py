"""docs/how-to/integration.md: the directory commands, after the first two parts of the tour."""

import tour

PAGE = "docs/how-to/integration.md"
NOT_TRIED = {
    "Build the room": "tests/console/room tests each file with those of Zoom's web client",
    "Follow the lists": "tests/it/poll and tests/it/notifications.rs compare the times until the next look",
    "Invite by user id": "tests/it/booking_engine.rs invites by user id",
    "Connect your pages": "docs/tutorial/tour.md makes the same requests, and tests/it/guests.rs those of guests",
}
COVERED_BY_TESTS = {}


def run(t):
    with t.section_of(tour.PAGE, "A tour"):
        t.paste()
    with t.section_of(tour.PAGE, "Who is calling"):
        t.paste()
    with t.section_of(tour.PAGE, "Connect Zoom"):
        t.paste()
    with t.section("Send the directory"):
        t.paste_and_compare(0)
        t.paste_and_compare(1)
        created = t.stack.schedule("Angles", course_id="course-2")["id"]
        listed = [item["id"] for item in t.stack.request("GET", "/v1/me/sessions", "student-9")["items"]]
        t.check("a student of the new course sees its class", created in listed)
        t.check("an imported course can have classes", t.stack.schedule("Means", course_id="course-3").status == 201)
    with t.section("Give a trainer defaults"):
        t.paste()
        t.check("a class is recorded by default", t.stack.schedule("Sums", course_id="course-2")["record_session"] is True)
