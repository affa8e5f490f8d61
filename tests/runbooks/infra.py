"""infra/README.md: the steps that the template does not cover."""

import json

from operations import prepare_shell

PAGE = "infra/README.md"
NOT_TRIED = {}
COVERED_BY_TESTS = {}


def run(t):
    with t.section("A shell for it"):
        prepare_shell(t)
    endpoint = {"AWS_ENDPOINT_URL_DYNAMODB": t.aws.url}
    with t.section("Before the first deployment"):
        t.aws.call_or_none("dynamodb", "update-table", "--table-name", "MainTable", "--no-deletion-protection-enabled")
        t.aws.call_or_none("dynamodb", "delete-table", "--table-name", "MainTable")
        t.aws.make_table("MainTable")
        # The emulator accepts the parameter without effect.
        t.check("the table has a warm throughput", "WarmThroughput" in t.paste_with(endpoint))
    with t.section("After it"):
        example = json.loads(next(block.text for block in t.page.blocks
                                if block.heading == t.heading and block.language == "json"))
        local = {*t.stack.secrets()}
        t.check_equal(sorted({*example} - {"auth_hs256_secret"}), sorted(local))
        (t.shell.pasted.parent / "secret.json").write_text(json.dumps(t.stack.secrets()))
        t.paste()
        t.stack.advance("5m")
        t.check("the secret is complete", t.stack.connect()["status"] == "connected")
    with t.section("What outlives the stack"):
        t.paste_with(endpoint)
        t.check("the retained table is deleted", "MainTable" not in t.aws.call("dynamodb", "list-tables")["TableNames"])
