"""A shell that somebody pastes into: one for a page, since later commands use what earlier ones set."""

import os
import subprocess
import threading


class Failed(Exception):
    """A command, or what was to come of it, is not as the page says."""


class Shell:
    SECONDS = 120

    def __init__(self, directory, variables):
        directory.mkdir(parents=True, exist_ok=True)
        self.pasted = directory / "pasted.sh"
        environment = {"HOME": os.environ["HOME"], "LANG": "C.UTF-8", **variables}
        self.bash = subprocess.Popen(["bash", "--noprofile", "--norc"], cwd=directory, env=environment, text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        # A name that nothing has set is a mistake of the page's.
        self.run("set -u\n")

    def run(self, commands):
        """Runs them and gives back what they wrote. Any of them that ends with an error is one, not only the last."""
        self.pasted.write_text(commands)
        self.bash.stdin.write("failed=0; trap 'failed=$?' ERR; . ./pasted.sh 2>&1 </dev/null; trap - ERR; "
                              "printf '\\n--ended %s--\\n' $failed\n")
        self.bash.stdin.flush()
        timer = threading.Timer(self.SECONDS, self.bash.kill)
        timer.start()
        said, ended = "", "the shell itself ended"
        for line in self.bash.stdout:
            if line.startswith("--ended "):
                ended = line.strip("-\n")
                break
            said += line
        timer.cancel()
        if ended != "ended 0":
            raise Failed(f"{ended}, by\n{commands}\n{said}")
        # Without the line's end that was put before the last line.
        return said[:-1]

    def variable(self, name):
        return self.run(f'echo "${name}"').rstrip("\n")

    def close(self):
        self.bash.kill()
        self.bash.wait()
