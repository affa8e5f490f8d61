"""README.md, as a stranger reads it: the tour, then plugging a platform in, in one shell from top to bottom."""

PAGE = "README.md"
LEFT = {
    "Two commands": "the first is what all of this runs against, the second is run by .ci/run",
    "Deploying, in ten lines": "needs an account; the commands are run by tests/real-tools.sh, .ci/run and under docs/",
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
