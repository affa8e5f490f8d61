"""Measures the cost of each action with the usage meter of a running `cargo local`: prices.py [http://localhost:4000]

Performs each action once and reads the meter: calls, units and list prices (us-east-1). Lambda's duration is left out
because it depends on this machine. Prints the table of docs/reference/cost.md.
"""

import json
import sys
import urllib.request
from datetime import datetime, timedelta, timezone

base = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:4000"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def call_api(method, path, token=None, body=None, form=None):
    headers = {"content-type": "application/x-www-form-urlencoded" if form else "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = form.encode() if form else json.dumps(body).encode() if body is not None else None
    url = path if path.startswith("http") else base + path
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.build_opener(NoRedirect).open(request) as response:
            text = response.read().decode()
            return json.loads(text) if text.startswith(("{", "[")) else text
    except urllib.error.HTTPError as error:
        if error.code in (302, 303):
            return error.headers["location"]
        raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}")


def person(sub, role, email=None, name=None):
    return call_api("POST", "/local/tokens", body={"sub": sub, "role": role, "email": email, "name": name})["token"]


trainer = person("trainer-1", "trainer", "trainer@example.test", "Tara")
student = person("student-1", "student", "student1@example.test", "Sam")
rows = []


def measure(action, perform):
    """Performs an action and reads the meter. Consequences (a webhook, a sweep) have rows of their own."""
    call_api("DELETE", "/local/usage")
    response = perform()
    usage = call_api("GET", "/local/usage")["functions"]
    requests = reads = writes = 0
    price = 0.0
    for function in usage.values():
        for call in function["calls"]:
            # Each running function reads the secret once in five minutes.
            if call["service"] == "secretsmanager":
                continue
            requests += call["billed_requests"] if call["service"] in ("dynamodb", "sqs") else 0
            reads += call["read_units"]
            writes += call["write_units"]
            price += call["price_usd"]
        price += function["price"]["lambda_requests"] + function["price"]["api_gateway"]
    rows.append((action, requests, reads, writes, price * 1e6))
    return response


def connect():
    started = call_api("POST", "/v1/zoom/authorize", trainer, {"redirect_uri": f"{base}/callback"})
    redirect = call_api("POST", started["authorize_url"], form="decision=allow&account=app")
    query = dict(part.split("=", 1) for part in redirect.split("?", 1)[1].split("&"))
    return call_api("POST", "/v1/zoom/connect", trainer, {"code": query["code"], "state": query["state"]})


def in_minutes(minutes):
    now = datetime.fromisoformat(call_api("GET", "/local/clock")["now"].split(".")[0].rstrip("Z"))
    return (now.replace(tzinfo=timezone.utc) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


start = in_minutes(5)
body = {"title": "Algebra I", "audience_type": "course", "course_id": "course-1", "starts_at": start,
        "timezone": "Europe/Berlin", "duration_minutes": 60}
measure("connect Zoom", connect)
created = measure("schedule a class", lambda: call_api("POST", "/v1/sessions", trainer, body))
session, meeting = f"/v1/sessions/{created['id']}", f"/zoom/sim/meetings/{created['meeting']['id']}"
measure("edit it, including Zoom", lambda: call_api("PUT", session, trainer, {**body, "title": "Algebra"}))
measure("trainer's list", lambda: call_api("GET", "/v1/sessions", trainer))
measure("student's list, one course", lambda: call_api("GET", "/v1/me/sessions", student))
measure("start, as the trainer", lambda: call_api("POST", f"{session}/join", trainer))
call_api("POST", f"{meeting}/start", body={})
joined = measure("join, as a student", lambda: call_api("POST", f"{session}/join", student))
measure("one participant event",
      lambda: call_api("POST", f"{meeting}/join", body={"name": "Sam", "customer_key": joined["customer_key"]}))
call_api("POST", f"{meeting}/end", body={})
measure("attendance report", lambda: call_api("GET", f"{session}/attendance", trainer))


def run_sweep(sweep):
    return call_api("POST", f"/local/schedules/{sweep}/run")


def guest_token(email):
    mail = [mail for mail in call_api("GET", "/local/mail")["items"] if mail["to"] == email][-1]
    text = call_api("GET", f"/local/mail/{mail['id']}/parts")["text"]
    return text.split("/guest/", 1)[1].split()[0]


def count_mails():
    return len(call_api("GET", "/local/mail")["items"])


# Send the mails of the actions above, and join as a guest. The first requests read the class without its invitation.
call_api("POST", "/v1/sessions", trainer, {**body, "audience_type": "invitees", "course_id": None,
                                      "invitees": [{"email": "guest@guests.test"}], "starts_at": in_minutes(5)})
run_sweep("outbox-sweep")
guest = {"token": guest_token("guest@guests.test")}
for action, path in (("read a class, as a guest", "/v1/guest/session"), ("join, as a guest", "/v1/guest/join")):
    call_api("POST", path, body=guest)
    measure(action, lambda: call_api("POST", path, body=guest))
# Then schedule a session for a hundred addresses.
guests = [{"email": f"guest{n}@example.test"} for n in range(100)]
call_api("POST", "/v1/sessions", trainer, {**body, "audience_type": "invitees", "course_id": None, "invitees": guests,
                                      "starts_at": in_minutes(10000)})
before = count_mails()
measure("", lambda: run_sweep("outbox-sweep"))
_, requests, reads, writes, price = rows.pop()
mails = count_mails() - before
rows.append((f"a mail, one of {mails}", round(requests / mails, 2), round(reads / mails, 2), round(writes / mails, 2),
             price / mails))
for sweep in ("reminder-sweep", "outbox-sweep"):
    run_sweep(sweep)
    measure(f"`{sweep}` with nothing due", lambda: run_sweep(sweep))

print("| action | requests | read units | write units | a million of them |")
print("| --- | ---: | ---: | ---: | ---: |")
for action, requests, reads, writes, million in rows:
    print(f"| {action} | {requests} | {reads:g} | {writes:g} | ${million:,.2f} |")
