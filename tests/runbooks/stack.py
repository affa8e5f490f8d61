"""`cargo local`, with the actions of the platform, of trainers and students, and of Zoom."""

import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone

from documents import TARGET
from shell import CheckFailed

LOCAL = TARGET / "debug/local"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(description, condition, seconds=30):
    """Waits until the condition is true, and returns its value."""
    for _ in range(seconds * 10):
        if found := condition():
            return found
        time.sleep(0.1)
    raise CheckFailed(f"{description}: not within {seconds} s")


class Response:
    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text
        self.body = json.loads(text) if text.startswith(("{", "[")) else None

    @property
    def summary(self):
        """Status and code in the format of the pages: `409 conflict`."""
        return f"{self.status} {self.body.get('code', '')}".strip()

    @property
    def field(self):
        return self.body["errors"][0]["field"]

    def __getitem__(self, name):
        if self.status >= 400 or self.body is None:
            raise CheckFailed(f"no {name!r} in {self.status} {self.text}")
        return self.body[name]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Returns redirects instead of following them."""

    def redirect_request(self, *_):
        return None


class Stack:
    """A local stack for one page. Its data directory allows restarts with other settings."""

    def __init__(self, directory):
        self.directory = directory
        self.port = free_port()
        self.base = f"http://localhost:{self.port}"
        self.process = None
        self.start()

    def start(self, *settings):
        self.stop()
        log = open(self.directory / "stack.log", "a")
        command = [LOCAL, "--port", str(self.port), "--data", self.directory / "data"]
        for setting in settings:
            command += ["--set", setting]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_until("the stack is ready", self.is_ready)
        self.config = self.request("GET", "/local/config").body
        self.tokens = {}

    def is_ready(self):
        if self.process.poll() is not None:
            raise CheckFailed(f"the stack stopped: see {self.directory}/stack.log")
        try:
            return self.request("GET", "/local/clock")
        except OSError:
            return None

    def stop(self):
        if not self.process or self.process.poll() is not None:
            return
        # Many functions continue without an optional call, so nothing else shows a missing permission.
        denied = self.request("GET", "/local/denied-calls").body["items"]
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        if denied:
            raise CheckFailed(f"template.yaml does not grant {denied}")

    def secrets(self):
        return dict(self.config["secrets"])

    def setting(self, name):
        return self.config["environment"][name]

    # Requests

    def request(self, method, path, person=None, body=None, form=None, headers=None):
        headers = {"content-type": "application/x-www-form-urlencoded" if form else "application/json", **(headers or {})}
        if person:
            headers["authorization"] = f"Bearer {self.token(person)}"
        data = form.encode() if form else body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
        url = path if path.startswith("http") else self.base + path
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.build_opener(NoRedirect).open(request, timeout=60) as response:
                return Response(response.status, response.headers, response.read().decode())
        except urllib.error.HTTPError as error:
            return Response(error.code, error.headers, error.read().decode())

    def token(self, person):
        """Returns the token of a person whose id begins with their role: trainer-1, student-2, platform."""
        if person not in self.tokens:
            role = {"platform": "service"}.get(person, person.split("-")[0])
            email = {"trainer-1": "trainer@example.test", "trainer-2": "trainer2@example.test"}.get(
                person, f"{person.replace('-', '')}@example.test")
            claims = {"sub": person, "role": role, "email": email, "name": person.title()}
            self.tokens[person] = self.request("POST", "/local/tokens", body=claims)["token"]
        return self.tokens[person]

    def now(self):
        now = self.request("GET", "/local/clock")["now"]
        return datetime.fromisoformat(now.split(".")[0].rstrip("Z")).replace(tzinfo=timezone.utc)

    def advance(self, by):
        self.request("POST", "/local/clock", body={"advance": by})["now"]
        # The tokens may have expired.
        self.tokens = {}

    def fault(self, service, operation, kind, times=1, **more):
        fault = {"service": service, "operation": operation, "kind": kind, "times": times, **more}
        response = self.request("POST", "/local/faults", body=fault)
        if response.status >= 400:
            raise CheckFailed(response.text)

    def clear_faults(self):
        self.request("DELETE", "/local/faults")

    def sweep(self, function="outbox-sweep"):
        return self.request("POST", f"/local/schedules/{function}/run").body

    def mails(self, to=None):
        """Returns the sent mails, newest first."""
        items = self.request("GET", "/local/mail")["items"]
        return [mail for mail in reversed(items) if to in (None, mail["to"])]

    # Actions of people

    def consent(self, person, form="decision=allow", redirect_uri=None):
        """Decides on Zoom's consent page, and returns the query of its redirect."""
        started = self.request("POST", "/v1/zoom/authorize", person, {"redirect_uri": redirect_uri or f"{self.base}/callback"})
        decision = self.request("POST", started["authorize_url"], form=form)
        if decision.status != 302:
            return decision
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(decision.headers["location"]).query))

    def finish(self, person, redirect):
        return self.request("POST", "/v1/zoom/connect", person, {"code": redirect["code"], "state": redirect["state"]})

    def connect(self, person="trainer-1", form="decision=allow"):
        response = self.finish(person, self.consent(person, form))
        if response.status != 200:
            raise CheckFailed(f"connecting failed: {response.text}")
        return response

    def in_minutes(self, minutes):
        return (self.now() + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def schedule(self, title="Algebra I", minutes=60, person="trainer-1", headers=None, **more):
        """Schedules a session of course-1 that starts in `minutes`."""
        body = {"title": title, "audience_type": "course", "course_id": "course-1", "starts_at": self.in_minutes(minutes),
                "timezone": "Europe/Berlin", "duration_minutes": 60, **more}
        body = {name: value for name, value in body.items() if value is not None}
        return self.request("POST", "/v1/sessions", person, body, headers=headers)

    def join(self, session_id, person, **body):
        return self.request("POST", f"/v1/sessions/{session_id}/join", person, body)

    def timeline(self, session_id, person="trainer-1"):
        return self.request("GET", f"/v1/sessions/{session_id}/timeline", person)["items"]

    def meeting(self, session, action, body=None):
        """Performs an action in the session's meeting: start, end, join, leave."""
        response = self.request("POST", f"/zoom/sim/meetings/{session['meeting']['id']}/{action}", body=body or {})
        if response.status >= 400:
            raise CheckFailed(f"{action}: {response.text}")
        return response

    # Logs

    def log(self, event=None, since=0):
        """Returns the lines with this event, or with any event, after the first `since` lines."""
        lines = (self.directory / "stack.log").read_text().splitlines()[since:]
        found = (json.loads(line) for line in lines if line.startswith("{"))
        return [line for line in found if "event" in line and event in (None, line["event"])]

    def count_log_lines(self):
        return len((self.directory / "stack.log").read_text().splitlines())
