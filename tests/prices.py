"""What each action costs, by the meter of a running `cargo local`: prices.py [http://localhost:4000]

Each action is done once, alone, and the meter is read: calls, units and list prices (us-east-1). Lambda's time is that of
this machine and is left out where it says "without time". Prints the table of the README.
"""

import json
import sys
import urllib.request
from datetime import datetime, timedelta, timezone

base = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:4000"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def ask(method, path, token=None, body=None, form=None):
    headers = {"content-type": "application/x-www-form-urlencoded" if form else "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = form.encode() if form else json.dumps(body).encode() if body is not None else None
    url = path if path.startswith("http") else base + path
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.build_opener(NoRedirect).open(request) as answer:
            text = answer.read().decode()
            return json.loads(text) if text.startswith(("{", "[")) else text
    except urllib.error.HTTPError as error:
        if error.code in (302, 303):
            return error.headers["location"]
        raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}")


def person(sub, role, email=None, name=None):
    return ask("POST", "/local/tokens", body={"sub": sub, "role": role, "email": email, "name": name})["token"]


trainer = person("trainer-1", "trainer", "trainer@example.test", "Tara")
student = person("student-1", "student", "student1@example.test", "Sam")
rows = []


def costs(what, work):
    """Does it and reads the meter. What comes of it elsewhere (a webhook, a sweep) is its own row."""
    ask("DELETE", "/local/usage")
    answer = work()
    usage = ask("GET", "/local/usage")["functions"]
    requests = reads = writes = 0
    price = 0.0
    for function in usage.values():
        for call in function["calls"]:
            # Read once in five minutes, by each function that runs.
            if call["service"] == "secretsmanager":
                continue
            requests += call["billed_requests"] if call["service"] in ("dynamodb", "sqs") else 0
            reads += call["read_units"]
            writes += call["write_units"]
            price += call["price_usd"]
        price += function["price"]["lambda_requests"] + function["price"]["api_gateway"]
    rows.append((what, requests, reads, writes, price * 1e6))
    return answer


def connect():
    begun = ask("POST", "/v1/zoom/authorize", trainer, {"redirect_uri": f"{base}/callback"})
    back = ask("POST", begun["authorize_url"], form="decision=allow&account=app")
    query = dict(part.split("=", 1) for part in back.split("?", 1)[1].split("&"))
    return ask("POST", "/v1/zoom/connect", trainer, {"code": query["code"], "state": query["state"]})


def in_minutes(minutes):
    now = datetime.fromisoformat(ask("GET", "/local/clock")["now"].split(".")[0].rstrip("Z"))
    return (now.replace(tzinfo=timezone.utc) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


start = in_minutes(5)
body = {"title": "Algebra I", "audience_type": "course", "course_id": "course-1", "starts_at": start,
        "timezone": "Europe/Berlin", "duration_minutes": 60}
costs("connecting Zoom", connect)
made = costs("scheduling a class", lambda: ask("POST", "/v1/sessions", trainer, body))
session, meeting = f"/v1/sessions/{made['id']}", f"/zoom/sim/meetings/{made['meeting']['id']}"
costs("editing it, at Zoom, too", lambda: ask("PUT", session, trainer, {**body, "title": "Algebra"}))
costs("a trainer's list", lambda: ask("GET", "/v1/sessions", trainer))
costs("a student's list, of one course", lambda: ask("GET", "/v1/me/sessions", student))
costs("starting, as the trainer", lambda: ask("POST", f"{session}/join", trainer))
ask("POST", f"{meeting}/start", body={})
passed = costs("joining, as a student", lambda: ask("POST", f"{session}/join", student))
costs("one event of Zoom's: somebody came",
      lambda: ask("POST", f"{meeting}/join", body={"name": "Sam", "customer_key": passed["customer_key"]}))
ask("POST", f"{meeting}/end", body={})
costs("an attendance report", lambda: ask("GET", f"{session}/attendance", trainer))


def run(sweep):
    return ask("POST", f"/local/schedules/{sweep}/run")


def sent():
    return len(ask("GET", "/local/mail")["items"])


# What was announced above, and a class for a hundred addresses.
run("outbox-sweep")
guests = [{"email": f"guest{n}@example.test"} for n in range(100)]
ask("POST", "/v1/sessions", trainer, {**body, "audience_type": "invitees", "course_id": None, "invitees": guests,
                                      "starts_at": in_minutes(10000)})
before = sent()
costs("", lambda: run("outbox-sweep"))
_, requests, reads, writes, price = rows.pop()
mails = sent() - before
rows.append((f"a mail, one of {mails}", round(requests / mails, 2), round(reads / mails, 2), round(writes / mails, 2),
             price / mails))
for sweep in ("reminder-sweep", "outbox-sweep"):
    run(sweep)
    costs(f"a run of `{sweep}` with nothing due", lambda: run(sweep))

print("| action | requests | read units | write units | a million of them |")
print("| --- | ---: | ---: | ---: | ---: |")
for what, requests, reads, writes, million in rows:
    print(f"| {what} | {requests} | {reads:g} | {writes:g} | ${million:,.2f} |")
