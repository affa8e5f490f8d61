"""`ministack`: emulates CloudFormation, Lambda and SES's settings, which the runbooks need and `cargo local` does not have.

The CloudFormation stack has the outputs of the local stack, and the functions are the real programs with the local stack's
environment. A shell that gets the queue from CloudFormation therefore uses the queue of the local stack.
"""

import json
import os
import shutil
import subprocess
import threading
import urllib.request
import zipfile

from documents import TARGET
from shell import CheckFailed
from stack import free_port, wait_until

TOOLS = TARGET / "tools"
# AWS's command line, and the emulator.
PACKAGES = {"awscli": "awscli==1.46.3", "ministack": "ministack==1.5.33"}
STACK_NAME = "live-classes"
# The alias in template.yaml.
ALIAS = "live"
ZIPPING = threading.Lock()
SWEEPS = ("reminder-sweep", "meeting-sweep", "reconcile-sweep", "outbox-sweep")
LOCAL_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
# For SQS, version 1 of the command line ignores the variable AWS_ENDPOINT_URL.
PRELUDE = """aws() { case $1 in
  sqs) command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@" ;;
  *) command aws "$@" ;;
esac; }
"""


def install():
    for name, package in PACKAGES.items():
        home = TOOLS / name
        marker = home / ".packages"
        if marker.exists() and marker.read_text().strip() == package:
            continue
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run(["python3", "-m", "venv", home], check=True)
        subprocess.run([home / "bin/pip", "install", "--quiet", "--disable-pip-version-check", package], check=True)
        marker.write_text(package + "\n")


class Aws:
    def __init__(self, directory):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "TMPDIR": str(directory)}
        self.process = subprocess.Popen([TOOLS / "ministack/bin/ministack"], env={**os.environ, **settings}, cwd=directory,
                                        stdout=open(directory / "ministack.log", "w"), stderr=subprocess.STDOUT)
        wait_until("ministack is ready", self.is_ready, 60)

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=5).status == 200
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def variables(self, stack):
        """Returns the command line's environment, which selects the local stack or this emulator by service."""
        local_variables = {name: stack.setting(name) for name in LOCAL_VARIABLES}
        emulator_variables = {f"AWS_ENDPOINT_URL_{service}": self.url for service in ("CLOUDFORMATION", "LAMBDA", "SESV2")}
        path = f"{TOOLS / 'awscli/bin'}:{os.environ['PATH']}"
        return {"PATH": path, **local_variables, **emulator_variables}

    def call(self, *arguments):
        """Calls this emulator, for the setup of a test."""
        environment = {**os.environ, "AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": "eu-central-1",
                       "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        result = subprocess.run([TOOLS / "awscli/bin/aws", *map(str, arguments)], env=environment, capture_output=True, text=True)
        if result.returncode:
            raise CheckFailed(f"aws {' '.join(map(str, arguments))}: {result.stderr}")
        return json.loads(result.stdout) if result.stdout else None

    def call_or_none(self, *arguments):
        """Makes a call that may fail."""
        try:
            return self.call(*arguments)
        except CheckFailed:
            return None

    def call_failing(self, *arguments):
        """Makes a call that must fail, and returns its error."""
        try:
            self.call(*arguments)
        except CheckFailed as failed:
            return str(failed)
        raise CheckFailed(f"aws {' '.join(arguments)}: did not fail")

    def make_table(self, name):
        self.call("dynamodb", "create-table", "--table-name", name, "--billing-mode", "PAY_PER_REQUEST",
                  "--attribute-definitions", "AttributeName=pk,AttributeType=S", "AttributeName=sk,AttributeType=S",
                  "--key-schema", "AttributeName=pk,KeyType=HASH", "AttributeName=sk,KeyType=RANGE",
                  "--tags", "Key=team,Value=classes", "--deletion-protection-enabled")

    def deploy(self, stack):
        """Creates a CloudFormation stack whose outputs are resources of the local stack."""
        queue = stack.setting("OUTBOX_DLQ_URL").replace("OutboxDeadLetterQueue", "{}").format
        outputs = {
            "ApiUrl": stack.base, "WebhookUrl": f"{stack.base}/webhook", "ConfigSecretId": stack.setting("CONFIG_SECRET_ID"),
            "MainTableName": stack.setting("TABLE_NAME"), "TokensTableName": stack.setting("TOKENS_TABLE_NAME"),
            "OutboxQueueUrl": stack.setting("OUTBOX_QUEUE_URL"), "OutboxBulkQueueUrl": stack.setting("OUTBOX_BULK_QUEUE_URL"), "OutboxDeadLetterQueueUrl": stack.setting("OUTBOX_DLQ_URL"),
            "DirectoryDeadLetterQueueUrl": queue("DirectoryDeadLetterQueue"), "FunctionLogGroupName": STACK_NAME,
        }
        template = {"Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}},
                    "Outputs": {name: {"Value": value} for name, value in outputs.items()}}
        self.call_or_none("cloudformation", "delete-stack", "--stack-name", STACK_NAME)
        self.call("cloudformation", "create-stack", "--stack-name", STACK_NAME, "--template-body", json.dumps(template))

    def deploy_functions(self, stack, *functions):
        """Deploys functions that `cargo build` built, with one version and the alias."""
        variables = {name: value for name, value in stack.config["environment"].items() if value}
        for function in functions:
            archive = zip_program(TARGET / "debug" / function)
            name = f"{STACK_NAME}-{function}"
            self.call_or_none("lambda", "delete-function", "--function-name", name)
            self.call("lambda", "create-function", "--function-name", name, "--runtime", "provided.al2023", "--handler",
                      "bootstrap", "--role", "arn:aws:iam::000000000000:role/any", "--timeout", 60, "--zip-file",
                      f"fileb://{archive}", "--environment", json.dumps({"Variables": variables}),
                      "--logging-config", f"LogGroup={STACK_NAME}", "--publish")
            self.call("lambda", "create-alias", "--function-name", name, "--name", ALIAS, "--function-version", "1")

    def publish(self, function, **variables):
        """Publishes a version of a deployed function with other variables, and moves the alias to it."""
        name = ["--function-name", f"{STACK_NAME}-{function}"]
        self.call("lambda", "update-function-configuration", *name, "--environment", json.dumps({"Variables": variables}))
        version = self.call("lambda", "publish-version", *name)["Version"]
        self.call("lambda", "update-alias", *name, "--name", ALIAS, "--function-version", version)
        return version


def zip_program(program):
    """Creates the archive of a stripped program as `bootstrap`, once for all pages."""
    archive = TARGET / "runbooks" / f"{program.name}.zip"
    with ZIPPING:
        if not archive.exists():
            bootstrap = archive.with_suffix(".bootstrap")
            subprocess.run(["strip", "-o", bootstrap, program], check=True)
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o755 << 16
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zip_file:
                zip_file.writestr(entry, bootstrap.read_bytes())
    return archive
