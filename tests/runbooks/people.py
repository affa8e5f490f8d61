"""docs/people.md: a trainer who cannot connect, and erasing a person."""

import base64
import json
import urllib.parse

from operations import a_shell_for_it

PAGE = "docs/people.md"
LEFT = {
    'Zoom: "cannot be authorized" or "unpublished"': "the simulated Zoom knows no publication",
}
PROVEN = {}


def a_trainer_who_cannot_connect(t):
    stack = t.stack
    callback = f"{stack.base}/callback"
    with t.row('Zoom: "Invalid redirect" (4700)'):
        stack.start(f"ZOOM_REDIRECT_URIS={callback},https://not.registered.example/zoom")
        refused = stack.consent("trainer-1", redirect_uri="https://not.registered.example/zoom")
        t.same((refused.status, "redirect_uri" in refused.text), (400, True))
        stack.start()
    with t.row("back on the page with `error=access_denied`"):
        t.same(stack.consent("trainer-1", "decision=deny")["error"], "access_denied")
    with t.row("403 `forbidden`"):
        t.says(stack.ask("POST", "/v1/zoom/authorize", "student-1", {"redirect_uri": callback}), "403 forbidden")
    with t.row("422 `validation_failed`, `redirect_uri`"):
        refused = stack.ask("POST", "/v1/zoom/authorize", "trainer-1", {"redirect_uri": f"{callback}/"})
        t.says(refused, "422 validation_failed")
        t.same(refused.field, "redirect_uri")
    with t.row("422 `validation_failed`, `state`"):
        used = stack.consent("trainer-1")
        t.same(stack.finish("trainer-1", used).status, 200)
        begun = stack.consent("trainer-1")
        refused = [stack.finish("trainer-1", used), stack.finish("trainer-2", begun)]
        stack.advance("10m")
        refused.append(stack.finish("trainer-1", begun))
        for answer in refused:
            t.says(answer, "422 validation_failed")
            t.same(answer.field, "state")
    with t.row("422 `validation_failed`, `code`"):
        back = stack.consent("trainer-1")
        stack.advance("5m1s")
        late = stack.finish("trainer-1", back)
        used = stack.consent("trainer-1")["code"]
        again = stack.finish("trainer-1", {**stack.consent("trainer-1"), "code": f"{used}x"})
        for answer in late, again:
            t.says(answer, "422 validation_failed")
            t.same(answer.field, "code")
    with t.row("502 `zoom_rejected`"), t.secret(zoom_client_secret="not the app's"):
        since = stack.lines()
        t.says(stack.finish("trainer-1", stack.consent("trainer-1")), "502 zoom_rejected")
        t.holds("the log has Zoom's status", "401" in t.logged("request.failed", since)[0]["error"])
    with t.row("502 `zoom_unavailable`"):
        stack.fault("zoom", "token", "error", times=5)
        t.says(stack.finish("trainer-1", stack.consent("trainer-1")), "502 zoom_unavailable")
        stack.no_more_faults()
    with t.row("503 `unavailable`"), t.secret(oauth_state_secret=None):
        since = stack.lines()
        t.says(stack.ask("POST", "/v1/zoom/authorize", "trainer-1", {"redirect_uri": callback}), "503 unavailable")
        t.holds("the log names the field", "oauth_state_secret" in t.logged("request.failed", since)[0]["error"])
    with t.row("connected, with `missing_scopes`"):
        t.same(stack.connect(form="decision=allow&scopes=user:read:user")["missing_scopes"] != [], True)
        t.same(stack.connect()["missing_scopes"], [])
    with t.row("`reauth_required` soon after"):
        same = "decision=allow&user=shared@app.zoom.test"
        stack.connect("trainer-1", same)
        stack.connect("trainer-2", same)
        t.same(stack.ask("GET", "/v1/zoom/connection", "trainer-1")["status"], "reauth_required")
        # Elsewhere is another deployment, of which this one is not told.
        stack.connect("trainer-1", same)
        authorised_elsewhere(stack, same)
        t.says(stack.schedule(), "409 reauth_required")
        t.same(stack.ask("GET", "/v1/zoom/connection", "trainer-1")["status"], "reauth_required")


def authorised_elsewhere(stack, consent):
    """The same Zoom user consents to the app and the grant is taken, and we hear nothing of it."""
    page = (f"/zoom/oauth/authorize?response_type=code&client_id={stack.secrets()['zoom_client_id']}"
            f"&redirect_uri={urllib.parse.quote(f'{stack.base}/callback')}")
    back = stack.ask("POST", page, form=consent).headers["location"]
    code = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query))["code"]
    client = f"{stack.secrets()['zoom_client_id']}:{stack.secrets()['zoom_client_secret']}"
    form = urllib.parse.urlencode({"grant_type": "authorization_code", "code": code,
                                   "redirect_uri": f"{stack.base}/callback"})
    basic = base64.b64encode(client.encode()).decode()
    stack.ask("POST", "/zoom/oauth/token", form=form, headers={"authorization": f"Basic {basic}"})


def when_nothing_else_helps(t):
    """Disconnecting succeeds while Zoom is silent, and the classes' meetings are there when the trainer is back."""
    stack = t.stack
    stack.connect()
    class_ = stack.schedule(minutes=5)
    stack.fault("zoom", "revoke", "error", times=5)
    t.same(stack.ask("DELETE", "/v1/zoom/connection", "trainer-1").status, 204)
    stack.no_more_faults()
    stack.connect()
    t.holds("classes stay, and their meetings are found again", "zak" in stack.join(class_["id"], "trainer-1").body)


def erasing_a_person(t):
    stack = t.stack
    person = {"email": "zelda@example.test", "name": "Zelda Zwingli", "role": "student"}
    stack.ask("PUT", "/v1/directory/users/student-7", "platform", person)
    place = {"email": person["email"], "name": person["name"]}
    stack.ask("PUT", "/v1/directory/courses/course-1/enrollments/student-7", "platform", place)
    stack.schedule("By invitation", minutes=600, audience_type="invitees", course_id=None, invitees=[place])
    class_ = stack.schedule("In the course", minutes=600)
    stack.join(class_["id"], "student-7")
    stack.sweep()
    named = t.tables().lower().count("zelda")
    t.holds(f"the tables name the person {named} times", named)
    since = stack.lines()
    t.sets(PERSON="student-7", SERVICE=stack.token("platform"))
    t.paste()
    t.holds("and then nowhere", "zelda" not in t.tables().lower() and "zwingli" not in t.tables().lower())
    erased = json.dumps(t.logged("directory.user_erased", since))
    t.holds("the log counts and names nobody", "student-7" not in erased and "zelda" not in erased)
    t.sets(PERSON="trainer-1")
    t.paste()
    t.same(stack.ask("GET", "/v1/zoom/connection", "trainer-1")["status"], "not_connected")
    t.holds("a trainer's classes stay", stack.ask("GET", f"/v1/sessions/{class_['id']}", "trainer-1").status == 200)
    # It may be said again.
    t.paste()


def try_out(t):
    with t.under("A shell for it"):
        a_shell_for_it(t)
    with t.under("A trainer who cannot connect"):
        a_trainer_who_cannot_connect(t)
        when_nothing_else_helps(t)
    with t.under("Erasing a person"):
        erasing_a_person(t)
