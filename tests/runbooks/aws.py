"""What the runbooks need of AWS and `cargo local` does not have: CloudFormation, Lambda, SES's settings, by `ministack`.

The outputs of the stack there are the local stack's, and the sweeps there are the real programs, given the local stack's
environment. So a shell that asks CloudFormation for the queue works on the queue in which the local stack's mails are.
"""

import json
import os
import shutil
import subprocess
import threading
import urllib.request
import zipfile

from documents import ROOT
from shell import Failed
from stack import free_port, until

TOOLS = ROOT / "target/tools"
# AWS's own command line, and a second opinion on what it asks.
PACKAGES = {"awscli": "awscli==1.46.3", "ministack": "ministack==1.5.33"}
STACK_NAME = "live-classes"
ZIPPING = threading.Lock()
SWEEPS = ("reminder-sweep", "outbox-sweep")
# Version 1 of the command line asks AWS itself about queues unless it is told otherwise on the line.
PRELUDE = """aws() { case $1 in
  sqs) command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@" ;;
  *) command aws "$@" ;;
esac; }
"""


def install():
    for name, package in PACKAGES.items():
        home = TOOLS / name
        there = home / ".packages"
        if there.exists() and there.read_text().strip() == package:
            continue
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run(["python3", "-m", "venv", home], check=True)
        subprocess.run([home / "bin/pip", "install", "--quiet", "--disable-pip-version-check", package], check=True)
        there.write_text(package + "\n")


class Aws:
    def __init__(self, directory):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "TMPDIR": str(directory)}
        self.process = subprocess.Popen([TOOLS / "ministack/bin/ministack"], env={**os.environ, **settings}, cwd=directory,
                                        stdout=open(directory / "ministack.log", "w"), stderr=subprocess.STDOUT)
        until("ministack answers", self.answers, 60)

    def answers(self):
        try:
            return urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=5).status == 200
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def variables(self, stack):
        """With which the command line asks the local stack, and this one for what that does not have."""
        given = {name: stack.setting(name) for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        here = {f"AWS_ENDPOINT_URL_{service}": self.url for service in ("CLOUDFORMATION", "LAMBDA", "SESV2")}
        path = f"{TOOLS / 'awscli/bin'}:{os.environ['PATH']}"
        return {"PATH": path, **given, **here}

    def ask(self, *words):
        """This one, directly: to set up what a page presumes."""
        environment = {**os.environ, "AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": "eu-central-1",
                       "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        done = subprocess.run([TOOLS / "awscli/bin/aws", *map(str, words)], env=environment, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"aws {' '.join(map(str, words))}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout else None

    def ask_or_not(self, *words):
        """What need not be there."""
        try:
            return self.ask(*words)
        except Failed:
            return None

    def refused(self, *words):
        """What it says when it refuses."""
        try:
            self.ask(*words)
        except Failed as failed:
            return str(failed)
        raise Failed(f"aws {' '.join(words)}: was not refused")

    def make_table(self, name):
        self.ask("dynamodb", "create-table", "--table-name", name, "--billing-mode", "PAY_PER_REQUEST",
                 "--attribute-definitions", "AttributeName=pk,AttributeType=S",
                 "--key-schema", "AttributeName=pk,KeyType=HASH", "--deletion-protection-enabled")

    def deploy(self, stack):
        """A stack of that name with the outputs of the template, which lead to the local stack."""
        queue = stack.setting("OUTBOX_DLQ_URL").replace("OutboxDeadLetterQueue", "{}").format
        outputs = {
            "ApiUrl": stack.base, "WebhookUrl": f"{stack.base}/webhook", "ConfigSecretId": stack.setting("CONFIG_SECRET_ID"),
            "MainTableName": stack.setting("TABLE_NAME"), "TokensTableName": stack.setting("TOKENS_TABLE_NAME"),
            "OutboxQueueUrl": stack.setting("OUTBOX_QUEUE_URL"), "OutboxDeadLetterQueueUrl": stack.setting("OUTBOX_DLQ_URL"),
            "DirectoryDeadLetterQueueUrl": queue("DirectoryDeadLetterQueue"), "FunctionLogGroupName": "live-classes",
        }
        template = {"Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}},
                    "Outputs": {name: {"Value": value} for name, value in outputs.items()}}
        self.ask_or_not("cloudformation", "delete-stack", "--stack-name", STACK_NAME)
        self.ask("cloudformation", "create-stack", "--stack-name", STACK_NAME, "--template-body", json.dumps(template))

    def deploy_sweeps(self, stack):
        """The sweeps as Lambda runs them, from what `cargo build` made."""
        variables = {name: value for name, value in stack.config["environment"].items() if value}
        for sweep in SWEEPS:
            archive = zipped(ROOT / "target/debug" / sweep)
            name = f"{STACK_NAME}-{sweep}"
            self.ask_or_not("lambda", "delete-function", "--function-name", name)
            self.ask("lambda", "create-function", "--function-name", name, "--runtime", "provided.al2023", "--handler",
                     "bootstrap", "--role", "arn:aws:iam::000000000000:role/any", "--timeout", 60, "--zip-file",
                     f"fileb://{archive}", "--environment", json.dumps({"Variables": variables}))


def zipped(program):
    """The archive of a program without its symbols, as the one file that the runtime starts; made once for all pages."""
    archive = ROOT / "target/runbooks" / f"{program.name}.zip"
    with ZIPPING:
        if not archive.exists():
            bootstrap = archive.with_suffix(".bootstrap")
            subprocess.run(["strip", "-o", bootstrap, program], check=True)
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o755 << 16
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
                packed.writestr(entry, bootstrap.read_bytes())
    return archive
