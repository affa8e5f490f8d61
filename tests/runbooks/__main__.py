"""The runbooks, tried: python3 tests/runbooks [page…]

The commands are taken out of the pages as they stand there and pasted into a shell, with AWS's own command line, against
`cargo local`; before each, what the page presumes is brought about, and after it, what the page promises is looked for. The
rows of a page's tables are brought about likewise, by faults, wrong secrets and people who do what they should not. A block
or a row that nobody tries is an error unless it says why.

What `cargo local` has not (CloudFormation, Lambda, SES's settings) is asked of `ministack`. It needs Python, bash, jq,
openssl and what `cargo build --bins` makes, and leaves what it installs under target/.
"""

import os
import shutil
import subprocess
import sys
import time

import aws as amazon
import going_live
import operations
import people
import readme
from documents import ROOT
from shell import Failed
from trial import Trial

PAGES = [readme, going_live, people, operations]


def main(names):
    work = ROOT / "target/runbooks"
    shutil.rmtree(work, ignore_errors=True)
    amazon.install()
    subprocess.run(["cargo", "build", "--quiet", "--workspace", "--bins"], cwd=ROOT,
                   check=True)
    aws = amazon.Aws(work / "aws")
    failed = []
    try:
        for page in PAGES:
            if names and page.PAGE not in names:
                continue
            begun = time.monotonic()
            print(f"\n== {page.PAGE}", flush=True)
            directory = work / page.__name__
            directory.mkdir()
            trial = Trial(page.PAGE, directory, aws)
            try:
                page.try_out(trial)
                trial.ended(page.LEFT, page.PROVEN)
            except (Failed, LookupError) as error:
                print(f"FAILED: {error}")
                failed.append(page.PAGE)
            finally:
                trial.close()
            print(f"-- {time.monotonic() - begun:.0f} s", flush=True)
    finally:
        aws.stop()
    if failed:
        print(f"\nFAILED: {', '.join(failed)}; see {work.relative_to(ROOT)}")
        return 1
    print("\nOK: every command and every row was tried, or says why not")
    return 0


os.chdir(ROOT)
sys.exit(main(sys.argv[1:]))
