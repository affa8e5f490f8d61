"""The runbooks, tried: python3 tests/runbooks [page…]

The commands are taken out of the pages as they stand there and pasted into a shell, with AWS's own command line, against
`cargo local`; before each, what the page presumes is brought about, and after it, what the page promises is looked for. The
rows of a page's tables are brought about likewise, by faults, wrong secrets and people who do what they should not. A block
or a row that nobody tries is an error unless it says why.

What `cargo local` has not (CloudFormation, Lambda, SES's settings) is asked of `ministack`. It needs Python, bash, jq and
openssl, builds the functions, and leaves what it installs under target/; with --install it does that and no more.
"""

import concurrent.futures
import os
import shutil
import subprocess
import sys
import time
import traceback

import aws
import going_live
import infra
import keys
import mail
import operations
import people
import readme
import zoom_app
from documents import ROOT
from shell import Failed
from trial import Trial

# The longest first, so that none of them ends alone.
PAGES = [keys, operations, going_live, people, infra, mail, zoom_app, readme]


def tried(page, work):
    """What is to be said of a page, and whether everything held. Each has all that it needs to itself."""
    directory = work / page.__name__
    directory.mkdir(parents=True)
    begun, said, held = time.monotonic(), [], False
    try:
        trial = Trial(page.PAGE, directory)
        said = trial.said
        try:
            page.try_out(trial)
            trial.ended(page.LEFT, page.PROVEN)
            held = True
        finally:
            trial.close()
    except Exception as error:
        if not isinstance(error, (Failed, LookupError)):
            traceback.print_exc()
        said.append(f"FAILED: {error}")
    return [f"\n== {page.PAGE}", *said, f"-- {page.PAGE}: {time.monotonic() - begun:.0f} s"], held


def main(names):
    work = ROOT / "target/runbooks"
    shutil.rmtree(work, ignore_errors=True)
    aws.install()
    if names == ["--install"]:
        return 0
    subprocess.run(["cargo", "build", "--quiet", "--workspace", "--bins"], cwd=ROOT, check=True)
    pages = [page for page in PAGES if not names or page.PAGE in names]
    failed = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        for page, (said, held) in zip(pages, threads.map(lambda page: tried(page, work), pages)):
            print(*said, sep="\n", flush=True)
            if not held:
                failed.append(page.PAGE)
    if failed:
        print(f"\nFAILED: {', '.join(failed)}; see {work.relative_to(ROOT)}")
        return 1
    print("\nOK: every command and every row was tried, or says why not")
    return 0


os.chdir(ROOT)
sys.exit(main(sys.argv[1:]))
