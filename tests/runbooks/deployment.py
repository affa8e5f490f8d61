"""docs/how-to/deployment.md: the ten lines, as far as they need no AWS account."""

import json
import re

PAGE = "docs/how-to/deployment.md"
NOT_TRIED = {"Ten lines": "tests/real-tools.sh runs the lines that build and deploy, the others run here"}
COVERED_BY_TESTS = {}


def run(t):
    t.heading = "Ten lines"
    t.report(f"  {t.heading}")
    lines = re.findall(r"^(?:export \S+|aws .*|curl .*)", t.page.commands(t.heading)[0].text, re.MULTILINE)
    t.check_equal(len(lines), 4)
    t.set_variables(CONFIG_SECRET_ID=t.stack.setting("CONFIG_SECRET_ID"), API_URL=t.stack.base, SERVICE=t.stack.token("platform"),
           TRAINER=t.stack.token("trainer-1"))
    folder = t.shell.pasted.parent
    (folder / "secret.json").write_text(json.dumps(t.stack.secrets()))
    (folder / "directory.ndjson").write_text(
        '{"type":"course","id":"course-3","title":"Statistics","trainer_id":"trainer-1"}\n')
    output = t.shell.run("\n".join(lines))
    t.check("the directory is imported, and the API answers", '"accepted":1,"rejected":[]' in output and '"status":' in output)
