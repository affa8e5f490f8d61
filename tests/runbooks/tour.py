"""docs/tutorial/tour.md: the whole tour in one shell, from top to bottom."""

PAGE = "docs/tutorial/tour.md"
NOT_TRIED = {}
COVERED_BY_TESTS = {}

# For each part of the tour: the texts that its output contains.
PARTS = {
    "A tour": ['"now":"2027-03-01T08:00:00'],
    "Who is calling": [],
    "Connect Zoom": ['"status":"connected"'],
    "Schedule a class": ['"title":"Algebra I"'],
    "See it as a student": ['"state":"too_early"'],
    "Edit it": ["Algebra I: fractions\n", '"code":"precondition_failed"'],
    "When Zoom fails": ["\nzoom_unavailable\nAlgebra I: decimals\n"],
    "Hold the class": ["too_early\n", '"mode":"signature"', "\nlive\n"],
    "Run a poll": ['"voters":'],
    "Cancel it": ["cancelled\n", '"kind":"', '"session-save":{"invocations":'],
}


def run(t):
    for heading, texts in PARTS.items():
        with t.section(heading):
            output = t.paste_and_compare(0)
            for text in texts:
                if text not in output:
                    t.check(f"{text!r} in\n{output}", False)
            if heading == "Schedule a class":
                t.check_equal(output.splitlines()[-1], t.shell.variable("SESSION"))
            t.check("the output is as shown", True)
