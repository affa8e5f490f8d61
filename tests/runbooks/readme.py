"""README.md, as a stranger reads it: the tour, then plugging a platform in, in one shell from top to bottom."""

import json
import re

PAGE = "README.md"
LEFT = {
    "Two commands": "the first is what all of this runs against, the second is run by .ci/run",
    "Deploying, in ten lines": "the lines that build and deploy are run by tests/real-tools.sh, or need an account",
    "The console": "pictures of it",
    "What it costs": "made by tests/prices.py",
    "Limits": "each is a constant with a test of its own",
    "Configuration": "held by every_setting_is_explained",
}
PROVEN = {}

# What the tour says of each block's answers, in order.
TOUR = [
    ['"now":"2027-03-01T08:00:00'],
    [],
    ['"status":"connected"'],
    ['"title":"Algebra I"'],
    ['"state":"too_early"'],
    ["Algebra I: fractions\n", '"code":"precondition_failed"'],
    ["\nzoom_unavailable\nAlgebra I: decimals\n"],
    ["too_early\n", '"mode":"signature"', "\nlive\n"],
    ['"voters":'],
    ["cancelled\n", '"kind":"', '"session-save":{"invocations":'],
]


def deploying(t):
    """Of the ten lines, what speaks to AWS's secret and to the API; the others need an account to deploy into."""
    lines = re.findall(r"^(?:export \S+|aws .*|curl .*)", t.page.commands(t.heading)[0].text, re.MULTILINE)
    t.same(len(lines), 4)
    t.sets(CONFIG_SECRET_ID=t.stack.setting("CONFIG_SECRET_ID"), API_URL=t.stack.base, SERVICE=t.stack.token("platform"),
           TRAINER=t.stack.token("trainer-1"))
    (t.shell.pasted.parent / "secret.json").write_text(json.dumps(t.stack.secrets()))
    said = t.shell.run("\n".join(lines))
    t.holds("the directory is imported, and the API answers", '"accepted":4,"rejected":[]' in said and '"status":' in said)


def try_out(t):
    with t.under("A tour"):
        for nth, sayings in enumerate(TOUR):
            said = t.paste_and_compare(nth)
            for saying in sayings:
                if saying not in said:
                    t.holds(f"{saying!r} in\n{said}", False)
            if nth == 3:
                t.same(said.splitlines()[-1], t.shell.variable("SESSION"))
        t.holds(f"{len(TOUR)} blocks, with what they say and the answers that are shown", True)
    with t.under("Plugging a platform in"):
        t.paste_and_compare(0)
        t.paste_and_compare(1)
        made = t.stack.schedule("Angles", course_id="course-2")["id"]
        seen = [item["id"] for item in t.stack.ask("GET", "/v1/me/sessions", "student-9")["items"]]
        t.holds("a student of a course that was said sees its class", made in seen)
        t.holds("a course that was imported has classes", t.stack.schedule("Means", course_id="course-3").status == 201)
    with t.under("Deploying, in ten lines"):
        deploying(t)
