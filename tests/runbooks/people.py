"""docs/how-to/people.md: a trainer who cannot connect, and erasing a person."""

import base64
import json
import urllib.parse

from operations import prepare_shell

PAGE = "docs/how-to/people.md"
NOT_TRIED = {
    'Zoom: "cannot be authorized" or "unpublished"': "the simulated Zoom does not implement publication",
}
COVERED_BY_TESTS = {}


def a_trainer_who_cannot_connect(t):
    stack = t.stack
    callback = f"{stack.base}/callback"
    with t.row('Zoom: "Invalid redirect" (4700)'):
        # The simulated Zoom knows the addresses of the functions, so the request to Zoom gets another one.
        started = stack.request("POST", "/v1/zoom/authorize", "trainer-1", {"redirect_uri": callback})["authorize_url"]
        registered, other = (urllib.parse.quote(uri, safe="") for uri in (callback, "https://not.registered.example/zoom"))
        t.check("the address is in the request", registered in started)
        refused = stack.request("POST", started.replace(registered, other), form="decision=allow")
        t.check_equal((refused.status, "redirect_uri" in refused.text), (400, True))
    with t.row("back on the page with `error=access_denied`"):
        t.check_equal(stack.consent("trainer-1", "decision=deny")["error"], "access_denied")
    with t.row("403 `forbidden`"):
        t.check_response(stack.request("POST", "/v1/zoom/authorize", "student-1", {"redirect_uri": callback}), "403 forbidden")
    with t.row("422 `validation_failed`, `redirect_uri`"):
        refused = stack.request("POST", "/v1/zoom/authorize", "trainer-1", {"redirect_uri": f"{callback}/"})
        t.check_response(refused, "422 validation_failed")
        t.check_equal(refused.field, "redirect_uri")
    with t.row("422 `validation_failed`, `state`"):
        used = stack.consent("trainer-1")
        t.check_equal(stack.finish("trainer-1", used).status, 200)
        other_state = stack.consent("trainer-1")
        refused = [stack.finish("trainer-1", used), stack.finish("trainer-2", other_state)]
        stack.advance("10m")
        refused.append(stack.finish("trainer-1", other_state))
        for answer in refused:
            t.check_response(answer, "422 validation_failed")
            t.check_equal(answer.field, "state")
    with t.row("422 `validation_failed`, `code`"):
        redirect = stack.consent("trainer-1")
        stack.advance("5m1s")
        late = stack.finish("trainer-1", redirect)
        used = stack.consent("trainer-1")["code"]
        again = stack.finish("trainer-1", {**stack.consent("trainer-1"), "code": f"{used}x"})
        for answer in late, again:
            t.check_response(answer, "422 validation_failed")
            t.check_equal(answer.field, "code")
    with t.row("502 `zoom_rejected`"), t.secret(zoom_client_secret="not the app's"):
        since = stack.count_log_lines()
        t.check_response(stack.finish("trainer-1", stack.consent("trainer-1")), "502 zoom_rejected")
        t.check("the log has Zoom's status", "401" in t.find_log_lines("request.failed", since)[0]["error"])
    with t.row("502 `zoom_unavailable`"):
        stack.fault("zoom", "token", "error", times=5)
        t.check_response(stack.finish("trainer-1", stack.consent("trainer-1")), "502 zoom_unavailable")
        stack.clear_faults()
    with t.row("503 `unavailable`"), t.secret(oauth_state_secret=None):
        since = stack.count_log_lines()
        t.check_response(stack.request("POST", "/v1/zoom/authorize", "trainer-1", {"redirect_uri": callback}), "503 unavailable")
        t.check("the log names the field", "oauth_state_secret" in t.find_log_lines("request.failed", since)[0]["error"])
    with t.row("connected, with `missing_scopes`"):
        t.check_equal(stack.connect(form="decision=allow&scopes=user:read:user")["missing_scopes"] != [], True)
        t.check_equal(stack.connect()["missing_scopes"], [])
    with t.row("`reauth_required` soon after"):
        consent = "decision=allow&user=shared@app.zoom.test"
        stack.connect("trainer-1", consent)
        stack.connect("trainer-2", consent)
        t.check_equal(stack.request("GET", "/v1/zoom/connection", "trainer-1")["status"], "reauth_required")
        # Another deployment may use the same Zoom app without our knowledge.
        stack.connect("trainer-1", consent)
        authorize_elsewhere(stack, consent)
        t.check_response(stack.schedule(), "409 reauth_required")
        t.check_equal(stack.request("GET", "/v1/zoom/connection", "trainer-1")["status"], "reauth_required")


def authorize_elsewhere(stack, consent):
    """Lets another deployment take a new grant of the same Zoom user."""
    page = (f"/zoom/oauth/authorize?response_type=code&client_id={stack.secrets()['zoom_client_id']}"
            f"&redirect_uri={urllib.parse.quote(f'{stack.base}/callback')}")
    redirect = stack.request("POST", page, form=consent).headers["location"]
    code = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(redirect).query))["code"]
    client = f"{stack.secrets()['zoom_client_id']}:{stack.secrets()['zoom_client_secret']}"
    form = urllib.parse.urlencode({"grant_type": "authorization_code", "code": code,
                                   "redirect_uri": f"{stack.base}/callback"})
    basic = base64.b64encode(client.encode()).decode()
    stack.request("POST", "/zoom/oauth/token", form=form, headers={"authorization": f"Basic {basic}"})


def when_nothing_else_helps(t):
    """Disconnecting works while Zoom is unavailable, and the meetings are usable after connecting again."""
    stack = t.stack
    stack.connect()
    session = stack.schedule(minutes=5)
    stack.fault("zoom", "revoke", "error", times=5)
    t.check_equal(stack.request("DELETE", "/v1/zoom/connection", "trainer-1").status, 204)
    stack.clear_faults()
    stack.connect()
    t.check("sessions and their meetings remain usable", "zak" in stack.join(session["id"], "trainer-1").body)


def erasing_a_person(t):
    stack = t.stack
    person = {"email": "zelda@example.test", "name": "Zelda Zwingli", "role": "student"}
    stack.request("PUT", "/v1/directory/users/student-7", "platform", person)
    place = {"email": person["email"], "name": person["name"]}
    stack.request("PUT", "/v1/directory/courses/course-1/enrollments/student-7", "platform", place)
    stack.schedule("By invitation", minutes=600, audience_type="invitees", course_id=None, invitees=[place])
    session = stack.schedule("In the course", minutes=600)
    stack.join(session["id"], "student-7")
    stack.sweep()
    named = t.tables().lower().count("zelda")
    t.check(f"the tables name the person {named} times", named)
    since = stack.count_log_lines()
    t.set_variables(PERSON="student-7", SERVICE=stack.token("platform"))
    t.paste()
    # A pending change of the enrollment is processed after a minute.
    stack.advance("2m")
    stack.sweep()
    t.check("the tables do not name the person any more", "zelda" not in t.tables().lower() and "zwingli" not in t.tables().lower())
    erased = json.dumps(t.find_log_lines("directory.user_erased", since))
    t.check("the log contains no personal data", "student-7" not in erased and "zelda" not in erased)
    t.set_variables(PERSON="trainer-1")
    t.paste()
    t.check_equal(stack.request("GET", "/v1/zoom/connection", "trainer-1")["status"], "not_connected")
    t.check("a trainer's sessions remain", stack.request("GET", f"/v1/sessions/{session['id']}", "trainer-1").status == 200)
    # The request is idempotent.
    t.paste()


def warnings_of_an_import(t):
    person = {"name": "Wanda", "role": "trainer"}
    lines = {
        "`unknown_course` of an `enrollment`": {"type": "enrollment", "course_id": "none", "user_id": "student-1", "name": "S"},
        "`unknown_user` of an `enrollment`": {"type": "enrollment", "course_id": "course-1", "user_id": "none", "name": "S"},
        "`unknown_user` of a `course`": {"type": "course", "id": "course-8", "title": "Sums", "trainer_id": "none"},
        "`unknown_plan` of a `user`": {"type": "user", "id": "trainer-8", "plan": "none", **person},
    }
    for row, line in lines.items():
        with t.row(row):
            answer = t.stack.request("POST", "/v1/directory/import", "platform", line)
            warning = answer["warnings"][0]
            t.check_equal((answer["accepted"], warning["lines"]), (1, [1]))
            t.check_equal([f"`{warning['code']}`", f"`{warning['kind']}`"], [row.split()[0], row.split()[-1]])
    refused = t.stack.request("PUT", "/v1/directory/users/trainer-8", "platform", {"plan": "none", **person})
    t.check_equal((refused.status, refused.field), (422, "plan"))
    t.check_response(t.stack.schedule(person="trainer-8", audience_type="standalone", course_id=None), "403 plan_required")


def run(t):
    with t.section("A shell for it"):
        prepare_shell(t)
    with t.section("Help a trainer who cannot connect"):
        a_trainer_who_cannot_connect(t)
        when_nothing_else_helps(t)
    with t.section("Read the warnings of an import"):
        warnings_of_an_import(t)
    with t.section("Erase a person"):
        erasing_a_person(t)
