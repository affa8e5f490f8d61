"""README.md: the 60-second path."""

PAGE = "README.md"
NOT_TRIED = {
    "Two commands": "every other page runs against the first, and .ci/run runs the second",
    "Screenshots": "made by `npm run screenshots` in tests/console",
    "Documentation": "links, checked by a tidy test",
}
COVERED_BY_TESTS = {}


def run(t):
    with t.section("60 seconds"):
        t.paste_and_compare(0)
        t.check("a trainer reads their Zoom connection", True)
