"""`cargo local`, and what people do with it: the platform that is served, its trainers and students, Zoom's side."""

import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone

from documents import ROOT
from shell import Failed

LOCAL = ROOT / "target/debug/local"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, holds, seconds=30):
    """Waits until it holds, and gives back what held."""
    for _ in range(seconds * 10):
        if found := holds():
            return found
        time.sleep(0.1)
    raise Failed(f"{what}: not within {seconds} s")


class Answer:
    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text
        self.body = json.loads(text) if text.startswith(("{", "[")) else None

    @property
    def said(self):
        """As the pages say it: `409 conflict`."""
        return f"{self.status} {self.body.get('code', '')}".strip()

    @property
    def field(self):
        return self.body["errors"][0]["field"]

    def __getitem__(self, name):
        if self.status >= 400 or self.body is None:
            raise Failed(f"no {name!r} in {self.status} {self.text}")
        return self.body[name]


class AsItIs(urllib.request.HTTPRedirectHandler):
    """An answer that leads elsewhere is an answer, too."""

    def redirect_request(self, *_):
        return None


class Stack:
    """One of its own for each page, kept in a directory so that it can be started anew with other settings."""

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
        until("the stack answers", self.answers)
        self.config = self.ask("GET", "/local/config").body
        self.people = {}

    def answers(self):
        if self.process.poll() is not None:
            raise Failed(f"the stack ended: see {self.directory}/stack.log")
        try:
            return self.ask("GET", "/local/clock")
        except OSError:
            return None

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()

    def secrets(self):
        return dict(self.config["secrets"])

    def setting(self, name):
        return self.config["environment"][name]

    # What it is asked

    def ask(self, method, path, who=None, body=None, form=None, headers=None):
        headers = {"content-type": "application/x-www-form-urlencoded" if form else "application/json", **(headers or {})}
        if who:
            headers["authorization"] = f"Bearer {self.token(who)}"
        data = form.encode() if form else body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
        url = path if path.startswith("http") else self.base + path
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.build_opener(AsItIs).open(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read().decode())

    def token(self, who):
        """Of somebody whose id begins with their role: trainer-1, student-2, platform."""
        if who not in self.people:
            role = {"platform": "service"}.get(who, who.split("-")[0])
            email = {"trainer-1": "trainer@example.test", "trainer-2": "trainer2@example.test"}.get(
                who, f"{who.replace('-', '')}@example.test")
            person = {"sub": who, "role": role, "email": email, "name": who.title()}
            self.people[who] = self.ask("POST", "/local/tokens", body=person)["token"]
        return self.people[who]

    def now(self):
        now = self.ask("GET", "/local/clock")["now"]
        return datetime.fromisoformat(now.split(".")[0].rstrip("Z")).replace(tzinfo=timezone.utc)

    def advance(self, by):
        self.ask("POST", "/local/clock", body={"advance": by})["now"]
        # What callers hold has run out by then.
        self.people = {}

    def fault(self, service, operation, kind, times=1, **more):
        fault = {"service": service, "operation": operation, "kind": kind, "times": times, **more}
        answer = self.ask("POST", "/local/faults", body=fault)
        if answer.status >= 400:
            raise Failed(answer.text)

    def no_more_faults(self):
        self.ask("DELETE", "/local/faults")

    def sweep(self, which="outbox-sweep"):
        return self.ask("POST", f"/local/schedules/{which}/run").body

    def mails(self, to=None):
        """All that were sent, the oldest first."""
        items = self.ask("GET", "/local/mail")["items"]
        return [mail for mail in reversed(items) if to in (None, mail["to"])]

    # What people do

    def consent(self, who, form="decision=allow", redirect_uri=None):
        """Goes to Zoom's page and back; gives what the page sends back with."""
        begun = self.ask("POST", "/v1/zoom/authorize", who, {"redirect_uri": redirect_uri or f"{self.base}/callback"})
        decided = self.ask("POST", begun["authorize_url"], form=form)
        if decided.status != 302:
            return decided
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(decided.headers["location"]).query))

    def finish(self, who, back):
        return self.ask("POST", "/v1/zoom/connect", who, {"code": back["code"], "state": back["state"]})

    def connect(self, who="trainer-1", form="decision=allow"):
        answer = self.finish(who, self.consent(who, form))
        if answer.status != 200:
            raise Failed(f"connecting: {answer.text}")
        return answer

    def in_minutes(self, minutes):
        return (self.now() + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def schedule(self, title="Algebra I", minutes=60, who="trainer-1", headers=None, **more):
        """A class of course-1 in so many minutes."""
        body = {"title": title, "audience_type": "course", "course_id": "course-1", "starts_at": self.in_minutes(minutes),
                "timezone": "Europe/Berlin", "duration_minutes": 60, **more}
        body = {name: value for name, value in body.items() if value is not None}
        return self.ask("POST", "/v1/sessions", who, body, headers=headers)

    def join(self, session, who):
        return self.ask("POST", f"/v1/sessions/{session}/join", who, {})

    def timeline(self, session, who="trainer-1"):
        return self.ask("GET", f"/v1/sessions/{session}/timeline", who)["items"]

    def meeting(self, class_, does, body=None):
        """What people do in the meeting of a class: start, end, join, leave."""
        answer = self.ask("POST", f"/zoom/sim/meetings/{class_['meeting']['id']}/{does}", body=body or {})
        if answer.status >= 400:
            raise Failed(f"{does}: {answer.text}")
        return answer

    # What it logs

    def log(self, event=None, since=0):
        """The lines of that event, or of any, of those after the first `since`."""
        lines = (self.directory / "stack.log").read_text().splitlines()[since:]
        found = (json.loads(line) for line in lines if line.startswith("{"))
        return [line for line in found if "event" in line and event in (None, line["event"])]

    def lines(self):
        return len((self.directory / "stack.log").read_text().splitlines())
