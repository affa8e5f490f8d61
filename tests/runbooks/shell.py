"""A shell for pasted commands. Each page has one, because later commands use variables of earlier ones."""

import os
import subprocess
import threading


class CheckFailed(Exception):
    """A command or its result differs from the page."""


class Shell:
    SECONDS = 120

    def __init__(self, directory, variables):
        directory.mkdir(parents=True, exist_ok=True)
        self.pasted = directory / "pasted.sh"
        environment = {"HOME": os.environ["HOME"], "LANG": "C.UTF-8", **variables}
        self.bash = subprocess.Popen(["bash", "--noprofile", "--norc"], cwd=directory, env=environment, text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        # An undefined variable is a mistake on the page.
        self.run("set -u\n")

    def run(self, commands):
        """Runs commands and returns their output. An error of any command is an error, not only of the last one."""
        self.pasted.write_text(commands)
        self.bash.stdin.write("failed=0; trap 'failed=$?' ERR; . ./pasted.sh 2>&1 </dev/null; trap - ERR; "
                              "printf '\\n--ended %s--\\n' $failed\n")
        self.bash.stdin.flush()
        timer = threading.Timer(self.SECONDS, self.bash.kill)
        timer.start()
        output, ended = "", "the shell exited"
        for line in self.bash.stdout:
            if line.startswith("--ended "):
                ended = line.strip("-\n")
                break
            output += line
        timer.cancel()
        if ended != "ended 0":
            raise CheckFailed(f"{ended}, by\n{commands}\n{output}")
        # Removes the newline that `printf` wrote before the last line.
        return output[:-1]

    def variable(self, name):
        return self.run(f'echo "${name}"').rstrip("\n")

    def close(self):
        self.bash.kill()
        self.bash.wait()
