"""infra/README.md: what the template cannot say."""

import json

from operations import a_shell_for_it

PAGE = "infra/README.md"
LEFT = {}
PROVEN = {}


def try_out(t):
    with t.under("A shell for it"):
        a_shell_for_it(t)
    here = {"AWS_ENDPOINT_URL_DYNAMODB": t.aws.url}
    with t.under("Before the first deployment"):
        t.aws.ask_or_not("dynamodb", "update-table", "--table-name", "MainTable", "--no-deletion-protection-enabled")
        t.aws.ask_or_not("dynamodb", "delete-table", "--table-name", "MainTable")
        t.aws.make_table("MainTable")
        # It knows the parameter and warms nothing.
        t.holds("a table is warmed before its first crowd", "WarmThroughput" in t.paste_with(here))
    with t.under("After it"):
        shown = json.loads(next(block.text for block in t.page.blocks
                                if block.heading == t.heading and block.language == "json"))
        t.same(sorted({*shown} - {"auth_hs256_secret"}), sorted(t.stack.secrets()))
        (t.shell.pasted.parent / "secret.json").write_text(json.dumps(t.stack.secrets()))
        t.paste()
        t.stack.advance("5m")
        t.holds("the secret is filled in", t.stack.connect()["status"] == "connected")
    with t.under("What outlives the stack"):
        t.paste_with(here)
        t.holds("a table that was kept is deleted", "MainTable" not in t.aws.ask("dynamodb", "list-tables")["TableNames"])
