"""Deploys both deployments of samconfig.toml into ministack, an AWS emulator, side by side in one region. Then it schedules a
session in one of them and checks the HTTP API, the function URL, the event bus, the schedules and the queue. Finally it
restores that deployment's tables, switches to them and back, and moves an alias to the version before.

  python tests/deployed.py <output of `sam build`> <ministack's address> <work directory>

tests/real-tools.sh runs it with SAM's Python. ministack does not read the HTTP API's routes from its description, so this
program creates them. It removes alarms over several metrics, which ministack does not support, and deploys all at once,
because ministack has no CodeDeploy.
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
# The alias in template.yaml.
ALIAS = "live"
KEY = "a key of thirty-two bytes for it"
HOOK = "the webhook's secret"
ISSUER, AUDIENCE = "https://auth.example.com/", "live-classes"
os.environ.update(AWS_ENDPOINT_URL=AWS, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION=REGION)


def report(name, result):
    print(f"{name:34}{result}", flush=True)


def adapt_to_ministack(*parameters):
    """Adds ministack's address to the functions' environment, removes unsupported alarms, and sets parameters of `prod`."""
    template = BUILT / "template.yaml"
    text = re.sub(r"(?m)^( *)LOG_LEVEL:", rf"\1AWS_ENDPOINT_URL: {AWS}\n\g<0>", template.read_text())
    # ministack transforms the template with the defaults of the parameters.
    text = text.replace("Default: Canary10Percent15Minutes", "Default: AllAtOnce")
    nested = BUILT / re.search(r"TemplateURL: (.*)", text)[1]
    head, resources = nested.read_text().split("Resources:\n", 1)
    each = re.split(r"(?m)^(?=  \w+:\n)", resources)
    nested.write_text(head + "Resources:\n" + "".join(one for one in each if "      Metrics:\n" not in one))
    template.write_text(text)
    # Programs for this machine, a shared secret because there is no issuer with a key set, and settings for mail.
    config = (ROOT / "samconfig.toml").read_text().replace("confirm_changeset = true", "confirm_changeset = false")
    config = re.sub(r'\n  "AuthJwksUrl=.*', '\n  "Architecture=x86_64",', config)
    config = re.sub(r'\n  # "(Mail.*)', r'\n  "\1', config)
    given = "".join(f'"{parameter}", ' for parameter in ("Rollout=AllAtOnce", *parameters))
    config = re.sub(r'"Rollout=Canary.*",', given, config)
    (WORK / "samconfig.toml").write_text(config)


def deploy(environment):
    """Deploys an environment, and returns the stack's name."""
    with (WORK / f"deploy-{environment}.log").open("w") as output:
        subprocess.run(["sam", "deploy", "--template", BUILT / "template.yaml", "--config-file", WORK / "samconfig.toml",
                        "--config-env", environment], check=True, stdout=output, stderr=subprocess.STDOUT)
    config = (WORK / "samconfig.toml").read_text().split(f"[{environment}.global.parameters]")[1]
    return re.search('stack_name = "(.*)"', config)[1]


class Stack:
    """One deployment, with its outputs."""

    def __init__(self, name):
        self.name = name
        self.cloudformation = boto3.client("cloudformation")
        self.lambdas = boto3.client("lambda")
        outputs = self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in outputs}
        self.api = self.resource("HttpApi")

    def resource(self, logical):
        response = self.cloudformation.describe_stack_resource(StackName=self.name, LogicalResourceId=logical)
        return response["StackResourceDetail"]["PhysicalResourceId"]

    def create_routes(self):
        """Creates the routes of the API description, and returns their number."""
        body = self.cloudformation.get_template(StackName=self.name, TemplateStage="Processed")["TemplateBody"]
        body = body if isinstance(body, dict) else json.loads(body)
        gateway, routes = boto3.client("apigatewayv2"), 0
        for path, methods in body["Resources"]["HttpApi"]["Properties"]["Body"]["paths"].items():
            for method, operation in methods.items():
                uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
                function = re.search(r"functions/\$\{(\w+)Alias%s\}" % ALIAS, uri)[1]
                arn = self.lambdas.get_alias(FunctionName=self.resource(function), Name=ALIAS)["AliasArn"]
                integration = gateway.create_integration(ApiId=self.api, IntegrationType="AWS_PROXY", IntegrationUri=arn,
                                                  PayloadFormatVersion="2.0")
                gateway.create_route(ApiId=self.api, RouteKey=f"{method.upper()} {path}",
                                     Target=f"integrations/{integration['IntegrationId']}")
                routes += 1
        return routes

    def write_secret(self):
        secret = {"zoom_client_id": "id", "zoom_client_secret": "secret", "zoom_sdk_key": "key", "zoom_sdk_secret": KEY,
                  "zoom_webhook_secret_token": HOOK, "oauth_state_secret": KEY, "auth_hs256_secret": KEY,
                  "token_encryption_keys": {"current": "1", "keys": {"1": base64.b64encode(KEY.encode()).decode()}}}
        boto3.client("secretsmanager").put_secret_value(SecretId=self.outputs["ConfigSecretId"],
                                                        SecretString=json.dumps(secret))

    def run(self, function):
        response = self.lambdas.invoke(FunctionName=f"{self.name}-{function}:{ALIAS}", Payload=b"{}")
        payload = response["Payload"].read().decode()
        assert "FunctionError" not in response, payload
        return json.loads(payload)

    def request(self, expected, method, path, person, role, body=None):
        host = f"{self.api}.execute-api.localhost"
        headers = {"authorization": f"Bearer {token(person, role)}", "idempotency-key": f"{time.time()}"}
        status, response = http(host, method, path, headers, body and json.dumps(body).encode())
        assert status == expected, f"{status} to {method} {path}: {response}"
        return response


def token(person, role):
    part = lambda value: base64.urlsafe_b64encode(value).rstrip(b"=")
    claims = {"sub": person, "role": role, "iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 600}
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.digest(KEY.encode(), signed, hashlib.sha256))).decode()


def http(host, method, path, headers, body):
    """Sends a request. ministack selects the service by the host header."""
    headers = {**headers, "host": f"{host}:{AWS.rsplit(':', 1)[1]}", "content-type": "application/json"}
    request = urllib.request.Request(AWS + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def answer_challenge(stack):
    host = re.search("//([^/]+)", stack.outputs["WebhookUrl"])[1]
    body, now = b'{"event":"endpoint.url_validation","payload":{"plainToken":"plain"}}', str(int(time.time()))
    signature = hmac.digest(HOOK.encode(), b"v0:" + now.encode() + b":" + body, hashlib.sha256).hex()
    headers = {"x-zm-request-timestamp": now, "x-zm-signature": f"v0={signature}"}
    status, response = http(host, "POST", "/", headers, body)
    assert (status, response["plainToken"]) == (200, "plain"), response


def schedule(stack, course):
    body = {"title": "Algebra I", "audience_type": "course", "course_id": course, "duration_minutes": 60, "timezone": "UTC",
            "starts_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 7 * 86400)), "provider": "manual",
            "join_url": "https://meet.example.com/algebra"}
    return stack.request(201, "POST", "/v1/sessions", "trainer-1", "trainer", body)["id"]


def switch_tables(stack, session):
    """Restores the tables, deploys with them, and deploys with the original ones again."""
    dynamodb = boto3.client("dynamodb")
    originals = [stack.outputs[name] for name in ("MainTableName", "TokensTableName")]
    restored = [f"{name}-restored" for name in originals]
    for source, target in zip(originals, restored):
        dynamodb.restore_table_to_point_in_time(SourceTableName=source, TargetTableName=target, UseLatestRestorableTime=True)
    versions = []
    for course, tables in ("course-3", restored), ("course-4", ["''", "''"]):
        subprocess.run([ROOT / "infra/release", "--build-dir", BUILT], check=True, capture_output=True)
        adapt_to_ministack(*(f"{name}={table}" for name, table in zip(("RestoredMainTable", "RestoredTokensTable"), tables)))
        stack = Stack(deploy("prod"))
        alias = stack.lambdas.get_function_configuration(FunctionName=f"{stack.name}-connect", Qualifier=ALIAS)
        variables = alias["Environment"]["Variables"]
        used = [stack.outputs["MainTableName"], stack.outputs["TokensTableName"]]
        assert used == [variables["TABLE_NAME"], variables["TOKENS_TABLE_NAME"]] == (restored if course == "course-3" else originals)
        versions.append(alias["Version"])
        stack.request(200, "GET", f"/v1/sessions/{session}", "trainer-1", "trainer")
        body = {"title": "After the switch", "trainer_id": "trainer-1"}
        stack.request(200, "PUT", f"/v1/directory/courses/{course}", "platform", "service", body)
        for table in originals[0], restored[0]:
            key = {":course": {"S": f"COURSE#{course}"}}
            found = dynamodb.query(TableName=table, KeyConditionExpression="pk = :course", ExpressionAttributeValues=key)["Count"]
            assert bool(found) == (table == used[0]), f"{course} in {table}"
    report("Tables", "switched to restored ones, and back")
    stack.lambdas.update_alias(FunctionName=f"{stack.name}-connect", Name=ALIAS, FunctionVersion=versions[0])
    assert versions[0] != versions[1]
    report("Versions of a function", f"{versions[0]} before {versions[1]}")


def main():
    adapt_to_ministack()
    names = [deploy(environment) for environment in ("dev", "prod")]
    report("Deployments", ", ".join(names))
    schedules = boto3.client("scheduler").list_schedules()["Schedules"]
    report("Schedules", ", ".join(sorted(one["Name"] for one in schedules)))
    stack = Stack(names[-1])
    report("Routes of the second", stack.create_routes())
    stack.write_secret()
    boto3.client("sesv2").create_email_identity(EmailIdentity="example.com")
    answer_challenge(stack)
    report("Zoom's challenge", "answered by the function URL")

    courses = "/v1/directory/courses"
    stack.request(200, "PUT", "/v1/directory/settings", "platform", "service", {"live_classes_enabled": True, "plans": {}})
    stack.request(200, "PUT", f"{courses}/course-1", "platform", "service", {"title": "Algebra", "trainer_id": "trainer-1"})
    stack.request(200, "PUT", f"{courses}/course-1/enrollments/student-1", "platform", "service",
              {"email": "student1@example.test", "name": "Sam"})
    session = schedule(stack, "course-1")
    listed = [item["id"] for item in stack.request(200, "GET", "/v1/me/sessions", "student-1", "student")["items"]]
    assert listed == [session], listed
    report("Session", "scheduled and in the student's list")
    # The schedule also runs the sweep, and of two concurrent runs only one sends the mails.
    for _ in range(30):
        stack.run("outbox-sweep")
        mails = stack.request(200, "GET", f"/v1/sessions/{session}", "trainer-1", "trainer").get("mail", {})
        if mails.get("sent") == 1:
            break
        time.sleep(1)
    report("Its mails", json.dumps(mails))
    assert mails.get("sent") == 1
    report("Reminders and repairs", json.dumps(stack.run("reminder-sweep")))

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
    report("A course from the event bus", "has a session")
    switch_tables(stack, session)


main()
