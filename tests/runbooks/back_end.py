"""docs/how-to/back-end.md: the import of a term."""

import json

PAGE = "docs/how-to/back-end.md"
NOT_TRIED = {"One class by your own name": "tests/it/by_ref.rs makes these requests in every state of the name"}
COVERED_BY_TESTS = {}


def line(t, week, **more):
    return json.dumps({"external_ref": f"term-{week}", "trainer_id": "trainer-1", "title": f"Week {week}",
                       "audience_type": "course", "course_id": "course-1", "duration_minutes": 60,
                       "starts_at": t.stack.in_minutes(7 * 24 * 60 * week), **more})


def run(t):
    with t.section("Many classes at once"):
        t.set_variables(API=t.stack.base, TOKEN=t.stack.token("platform"))
        lines = [line(t, week) for week in range(1, 4)] + [line(t, 4, duration_minutes=1)]
        text = "\n".join(lines)
        t.shell.run(f"cat > term.ndjson <<'END'\n{text}\nEND\n")
        answer = json.loads(t.paste())
        t.check_equal((answer["accepted"], answer["rejected_count"], answer["next_line"]), (3, 1, None))
        t.check_equal((answer["rejected"][0]["line"], answer["rejected"][0]["code"]), (4, "validation_failed"))
        classes = t.stack.request("GET", "/v1/sessions?trainer_id=trainer-1", "platform")["items"]
        t.check("new classes get their meeting later", {of["meeting_state"] for of in classes} == {"pending"})
        t.paste()
        again = t.stack.request("GET", "/v1/sessions?trainer_id=trainer-1", "platform")["items"]
        t.check("repeating the import changes nothing",
                [(of["id"], of["version"]) for of in again] == [(of["id"], of["version"]) for of in classes])
