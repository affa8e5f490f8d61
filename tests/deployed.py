"""The template, deployed: `sam deploy` of both of samconfig.toml's deployments into an AWS that ministack plays, side by side
in one region, and then a class that is scheduled in one of them, by its HTTP API, function URL, bus, schedules and queue.

  python tests/deployed.py <what `sam build` made> <ministack's address> <work directory>

tests/real-tools.sh runs it, with the Python that SAM is installed for. What ministack does not play is made up for here: an
HTTP API's routes, which it does not read from the API's description, and alarms over several metrics, which are left out.
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import boto3

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT, AWS, WORK = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
REGION = "eu-central-1"
KEY = "a key of thirty-two bytes for it"
HOOK = "the webhook's secret"
ISSUER, AUDIENCE = "https://auth.example.com/", "live-classes"
os.environ.update(AWS_ENDPOINT_URL=AWS, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION=REGION)


def say(what, how):
    print(f"{what:34}{how}", flush=True)


def fit_for_ministack():
    """The functions find AWS at its address, and the alarms are those that it knows."""
    template = BUILT / "template.yaml"
    text = re.sub(r"(?m)^( *)LOG_LEVEL:", rf"\1AWS_ENDPOINT_URL: {AWS}\n\g<0>", template.read_text())
    nested = BUILT / re.search(r"TemplateURL: (.*)", text)[1]
    head, resources = nested.read_text().split("Resources:\n", 1)
    each = re.split(r"(?m)^(?=  \w+:\n)", resources)
    nested.write_text(head + "Resources:\n" + "".join(one for one in each if "      Metrics:\n" not in one))
    template.write_text(text)
    # This machine's programs; a shared secret, as there is no issuer whose keys could be fetched; and mail.
    config = (ROOT / "samconfig.toml").read_text().replace("confirm_changeset = true", "confirm_changeset = false")
    config = re.sub(r'\n  "AuthJwksUrl=.*', '\n  "Architecture=x86_64",', config)
    config = re.sub(r'\n  # "(Mail.*)', r'\n  "\1', config)
    (WORK / "samconfig.toml").write_text(config)


def deploy(environment):
    """The name of what was deployed."""
    with (WORK / f"deploy-{environment}.log").open("w") as output:
        subprocess.run(["sam", "deploy", "--template", BUILT / "template.yaml", "--config-file", WORK / "samconfig.toml",
                        "--config-env", environment], check=True, stdout=output, stderr=subprocess.STDOUT)
    config = (WORK / "samconfig.toml").read_text().split(f"[{environment}.global.parameters]")[1]
    return re.search('stack_name = "(.*)"', config)[1]


class Stack:
    """One deployment, as its outputs tell of it."""

    def __init__(self, name):
        self.name = name
        self.cloudformation = boto3.client("cloudformation")
        self.lambdas = boto3.client("lambda")
        outputs = self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in outputs}
        self.api = self.resource("HttpApi")

    def resource(self, logical):
        told = self.cloudformation.describe_stack_resource(StackName=self.name, LogicalResourceId=logical)
        return told["StackResourceDetail"]["PhysicalResourceId"]

    def route(self):
        """The routes that the description has, and how many."""
        body = self.cloudformation.get_template(StackName=self.name, TemplateStage="Processed")["TemplateBody"]
        body = body if isinstance(body, dict) else json.loads(body)
        gateway, routes = boto3.client("apigatewayv2"), 0
        for path, methods in body["Resources"]["HttpApi"]["Properties"]["Body"]["paths"].items():
            for method, operation in methods.items():
                uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
                function = self.resource(re.search(r"functions/\$\{(\w+)\.Arn\}", uri)[1])
                arn = self.lambdas.get_function(FunctionName=function)["Configuration"]["FunctionArn"]
                made = gateway.create_integration(ApiId=self.api, IntegrationType="AWS_PROXY", IntegrationUri=arn,
                                                  PayloadFormatVersion="2.0")
                gateway.create_route(ApiId=self.api, RouteKey=f"{method.upper()} {path}",
                                     Target=f"integrations/{made['IntegrationId']}")
                routes += 1
        return routes

    def fill_in_the_secret(self):
        secret = {"zoom_client_id": "id", "zoom_client_secret": "secret", "zoom_sdk_key": "key", "zoom_sdk_secret": KEY,
                  "zoom_webhook_secret_token": HOOK, "oauth_state_secret": KEY, "auth_hs256_secret": KEY,
                  "token_encryption_keys": {"current": "1", "keys": {"1": base64.b64encode(KEY.encode()).decode()}}}
        boto3.client("secretsmanager").put_secret_value(SecretId=self.outputs["ConfigSecretId"],
                                                        SecretString=json.dumps(secret))

    def run(self, function):
        told = self.lambdas.invoke(FunctionName=f"{self.name}-{function}", Payload=b"{}")
        payload = told["Payload"].read().decode()
        assert "FunctionError" not in told, payload
        return json.loads(payload)

    def ask(self, wanted, method, path, who, role, body=None):
        host = f"{self.api}.execute-api.localhost"
        headers = {"authorization": f"Bearer {token(who, role)}", "idempotency-key": f"{time.time()}"}
        status, answer = http(host, method, path, headers, body and json.dumps(body).encode())
        assert status == wanted, f"{status} to {method} {path}: {answer}"
        return answer


def token(who, role):
    part = lambda value: base64.urlsafe_b64encode(value).rstrip(b"=")
    claims = {"sub": who, "role": role, "iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 600}
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.digest(KEY.encode(), signed, hashlib.sha256))).decode()


def http(host, method, path, headers, body):
    """ministack knows by the host whom it is to play."""
    headers = {**headers, "host": f"{host}:{AWS.rsplit(':', 1)[1]}", "content-type": "application/json"}
    request = urllib.request.Request(AWS + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def challenge(stack):
    host = re.search("//([^/]+)", stack.outputs["WebhookUrl"])[1]
    body, now = b'{"event":"endpoint.url_validation","payload":{"plainToken":"plain"}}', str(int(time.time()))
    signature = hmac.digest(HOOK.encode(), b"v0:" + now.encode() + b":" + body, hashlib.sha256).hex()
    headers = {"x-zm-request-timestamp": now, "x-zm-signature": f"v0={signature}"}
    status, answer = http(host, "POST", "/", headers, body)
    assert (status, answer["plainToken"]) == (200, "plain"), answer


def schedule(stack, course):
    body = {"title": "Algebra I", "audience_type": "course", "course_id": course, "duration_minutes": 60, "timezone": "UTC",
            "starts_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 7 * 86400)), "provider": "manual",
            "join_url": "https://meet.example.com/algebra"}
    return stack.ask(201, "POST", "/v1/sessions", "trainer-1", "trainer", body)["id"]


def main():
    fit_for_ministack()
    names = [deploy(environment) for environment in ("dev", "prod")]
    say("Deployed side by side", ", ".join(names))
    schedules = boto3.client("scheduler").list_schedules()["Schedules"]
    say("Their schedules", ", ".join(sorted(one["Name"] for one in schedules)))
    stack = Stack(names[-1])
    say("Routes of the latter", stack.route())
    stack.fill_in_the_secret()
    boto3.client("sesv2").create_email_identity(EmailIdentity="example.com")
    challenge(stack)
    say("Zoom's challenge is", "answered by the function URL")

    courses = "/v1/directory/courses"
    stack.ask(200, "PUT", "/v1/directory/settings", "platform", "service", {"live_classes_enabled": True, "plans": {}})
    stack.ask(200, "PUT", f"{courses}/course-1", "platform", "service", {"title": "Algebra", "trainer_id": "trainer-1"})
    stack.ask(200, "PUT", f"{courses}/course-1/enrollments/student-1", "platform", "service",
              {"email": "student1@example.test", "name": "Sam"})
    session = schedule(stack, "course-1")
    seen = [item["id"] for item in stack.ask(200, "GET", "/v1/me/sessions", "student-1", "student")["items"]]
    assert seen == [session], seen
    say("A class is", "scheduled, and in its student's list")
    # The schedule runs it, too, and of two runs at once one leaves the mails to the other.
    for _ in range(30):
        stack.run("outbox-sweep")
        mails = stack.ask(200, "GET", f"/v1/sessions/{session}", "trainer-1", "trainer").get("mail", {})
        if mails.get("sent") == 1:
            break
        time.sleep(1)
    say("Its mails", json.dumps(mails))
    assert mails.get("sent") == 1
    say("Reminders, repairs", json.dumps(stack.run("reminder-sweep")))

    detail = {"id": "course-2", "title": "Geometry", "trainer_id": "trainer-1"}
    boto3.client("events").put_events(Entries=[{"Source": "platform", "DetailType": "CourseUpserted",
                                                "Detail": json.dumps(detail)}])
    course = {":course": {"S": f"COURSE#{detail['id']}"}}
    for _ in range(30):
        time.sleep(1)
        if boto3.client("dynamodb").query(TableName=stack.outputs["MainTableName"], KeyConditionExpression="pk = :course",
                                          ExpressionAttributeValues=course)["Count"]:
            break
    schedule(stack, detail["id"])
    say("A course that the bus told of", "has a class")


main()
