"""Tests the runbooks: python3 tests/runbooks [page…]

Runs the commands of the pages in a shell with AWS's command line, against `cargo local`. Each test creates the situation that
the page describes, with faults, wrong secrets or mistakes of people, and checks the result that the page promises. A block of
commands or a table row without a test is an error, unless there is a reason in NOT_TRIED. Log queries must name events and
fields that the functions log.

`ministack` emulates the services that `cargo local` does not have: CloudFormation, Lambda and SES's settings. The tests need
Python, bash, jq and openssl. They build the functions and install their tools under target/, or where
CARGO_TARGET_DIR points (only that with --install).
"""

import concurrent.futures
import os
import shutil
import subprocess
import sys
import time
import traceback

import aws
import back_end
import deployment
import going_live
import infra
import integration
import keys
import mail
import meetings_later
import operations
import people
import readme
import reconciliation
import recovery
import tour
import troubleshooting
import without_rust
import zoom_app
import zoom_reference
from documents import ROOT, TARGET, Page
from shell import CheckFailed
from trial import Trial

# The longest first, for a short total time.
PAGES = [operations, keys, recovery, troubleshooting, people, zoom_reference, going_live, infra, mail, zoom_app, tour, integration,
         deployment, back_end, meetings_later, reconciliation, without_rust, readme]
NOT_TRIED = {
    "CONTRIBUTING.md": "its commands are the checks, which .ci/run and .ci/nightly run",
    "clients/python/README.md": ".ci/run builds the client, plays its example, and imports 4,500 records",
    "clients/typescript/README.md": ".ci/run builds the client and plays its example",
    "docs/how-to/release.md": ".ci/nightly builds the files and the image, and tests/release.py tags a release",
    "docs/how-to/deployment-questions.md": "only an AWS account has packaged templates and buses of other accounts",
    "docs/how-to/local-stack.md": "tests/it/local_stack.rs tests the routes, tests/real-tools.sh runs cargo-lambda and SAM, and "
                                  ".ci/run tests the console",
    "docs/how-to/own-issuer.md": "tests/it/local_stack/own_issuer.rs starts a stack for the tokens of another issuer",
}


def pages_without_test():
    """Returns the problems of pages that have commands and no test, or a reason without need."""
    listed = subprocess.run(["git", "ls-files", "*.md"], capture_output=True, text=True, check=True).stdout.split()
    with_commands = {path for path in listed if Page(path).commands()}
    tested = {page.PAGE for page in PAGES}
    return [f"{path} has commands and no test" for path in sorted(with_commands - tested - NOT_TRIED.keys())] + \
        [f"{path} needs no reason in NOT_TRIED" for path in NOT_TRIED if path in tested or path not in with_commands]


def run_page(page, work):
    """Tests a page with a stack of its own. Returns the report, and whether everything passed."""
    directory = work / page.__name__
    directory.mkdir(parents=True)
    started, lines, passed = time.monotonic(), [], False
    try:
        trial = Trial(page.PAGE, directory)
        lines = trial.lines
        try:
            page.run(trial)
            trial.check_coverage(page.NOT_TRIED, page.COVERED_BY_TESTS)
            passed = True
        finally:
            trial.close()
    except Exception as error:
        if not isinstance(error, (CheckFailed, LookupError)):
            traceback.print_exc()
        lines.append(f"FAILED: {error}")
    return [f"\n== {page.PAGE}", *lines, f"-- {page.PAGE}: {time.monotonic() - started:.0f} s"], passed


def main(names):
    work = TARGET / "runbooks"
    shutil.rmtree(work, ignore_errors=True)
    aws.install()
    if names == ["--install"]:
        return 0
    if problems := pages_without_test():
        print("FAILED:", *problems, sep="\n  ")
        return 1
    subprocess.run(["cargo", "build", "--quiet", "--workspace", "--bins"], cwd=ROOT, check=True)
    pages = [page for page in PAGES if not names or page.PAGE in names]
    failed = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        runs = {threads.submit(run_page, page, work): page for page in pages}
        for run in concurrent.futures.as_completed(runs):
            page, (lines, passed) = runs[run], run.result()
            print(*lines, sep="\n", flush=True)
            if not passed:
                failed.append(page.PAGE)
    if failed:
        print(f"\nFAILED: {', '.join(failed)}; see {work}")
        return 1
    print("\nOK: every command and every row was tested or has a reason why not")
    return 0


os.chdir(ROOT)
sys.exit(main(sys.argv[1:]))
