"""Run the core as a child, keep what it says, and leave its verdict in a file.

Started by the protocol with the core's own interpreter (only the standard library is used), because Scipion's runJob
tells of a failure no more than an exit code, and of a job in a queue not even that::

    python core_job.py --verdict FILE [--while-alive PID] [--processes N] -- classify particles.xmd -o DIR ...

The core's stderr, its progress, goes to stdout, which is the protocol's log.  The verdict is one JSON object with
`exit_code`, `message` (the core's last line, if it failed), `progress` (the last line so far), and the process ids
`job` and `core`.  Several processes are started by torch.distributed.run, whose own words and exit code say less than
the core's, so the message is then the first line in which the core names an error.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

MEMORY_RAN_OUT = "memory ran out, and the system ended processes"
MEMORY_DID_NOT = "by a person, a queue or a time limit: the system says nothing of memory that ran out"
MEMORY_UNKNOWN = "by a person, a queue or a time limit, or since memory ran out"
COUNTS_OF_THE_SYSTEM = "/proc/vmstat"
"""Linux counts there the processes that it has ended for want of memory, also for that of a control group."""
PROGRESS_SECONDS = 2.0
POLL_SECONDS = 1.0
GRACE_SECONDS = 5.0
GRACE_OF_SEVERAL_SECONDS = 40.0
"""Their launcher waits for 30 s itself; killed before, it would leave them behind."""
CORES_ERROR = re.compile(r"alignpca2d( rank \d+)?: ")
KILLED_ONE = re.compile(r"exitcode\s*: -9\b")
"""How the launcher says that one of several processes was killed; it ends the others then, by SIGTERM."""


def main(arguments=None):
    """Run, and return the exit code: the core's own, or 128 + the signal that killed it."""
    options = _parse(arguments)
    kills = memory_kills()
    child = subprocess.Popen(
        command(options.processes, options.core),
        stderr=subprocess.PIPE,
        universal_newlines=True,
        errors="replace",
    )
    grace = GRACE_SECONDS if options.processes == 1 else GRACE_OF_SEVERAL_SECONDS
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, frame: child.send_signal(received))
    if options.while_alive:
        threading.Thread(target=_follow, args=(options.while_alive, child, grace), daemon=True).start()
    processes = {"job": os.getpid(), "core": child.pid}
    write_verdict(options.verdict, exit_code=None, message="", progress="", **processes)
    last, error, killed = _relay(child, options.verdict, processes)
    code = child.wait()
    several = options.processes > 1
    if several and killed and code:
        message = f"one of {options.processes} processes of alignpca2d_core {_killed_by(signal.SIGKILL, kills)}"
    else:
        message = _message(code, error if error and several else last, kills)
    if code < 0:
        code = 128 - code
    write_verdict(options.verdict, exit_code=code, message=message, progress=last, **processes)
    if message:
        print(message, file=sys.stderr, flush=True)
    return code


def command(processes, words):
    """The command line of the core, as one process or as several that share the work."""
    launcher = []
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable, *launcher, "-m", "alignpca2d_core", *words]


def write_verdict(path, **verdict):
    """Write by a temporary name, since the protocol reads it while it changes."""
    temporary = path + ".tmp"
    with open(temporary, "w", encoding="utf-8") as stream:
        json.dump(verdict, stream)
    os.replace(temporary, path)


def _parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--verdict", required=True, help="file for the outcome")
    parser.add_argument("--while-alive", type=int, metavar="PID", help="stop the core when this process is gone")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="divide the work over so many")
    parser.add_argument("core", nargs="+", help="the core's subcommand and options, after --")
    return parser.parse_args(arguments)


def _relay(child, verdict, processes):
    """Pass the core's words on; return its last line, the first that names an error, and whether one was killed."""
    last, error, killed, written = "", "", False, 0.0
    for line in child.stderr:
        print(line, end="", flush=True)
        if not line.strip():
            continue
        last = line.strip()
        error = error or (last if CORES_ERROR.match(last) else "")
        killed = killed or bool(KILLED_ONE.search(last))
        if time.monotonic() - written > PROGRESS_SECONDS:
            write_verdict(verdict, exit_code=None, message="", progress=last, **processes)
            written = time.monotonic()
    return last, error, killed


def memory_kills():
    """How many processes Linux has ended so far for want of memory; None where it does not say."""
    try:
        with open(COUNTS_OF_THE_SYSTEM, encoding="ascii") as stream:
            return next((int(line.split()[1]) for line in stream if line.startswith("oom_kill ")), None)
    except OSError:
        return None


def _message(code, last, kills):
    if code == 0:
        return ""
    if code < 0:
        return f"alignpca2d_core {_killed_by(-code, kills)}"
    return last or f"alignpca2d_core ended with exit code {code}"


def _killed_by(number, kills):
    """What has killed it; `kills` is what :func:`memory_kills` said before the start."""
    hint = ""
    if number == signal.SIGKILL:
        now = memory_kills()
        known = now is not None and kills is not None
        hint = f" ({(MEMORY_RAN_OUT if now > kills else MEMORY_DID_NOT) if known else MEMORY_UNKNOWN})"
    return f"was killed by {signal.Signals(number).name}{hint}"


def _follow(pid, child, grace):
    """A core that outlives its protocol would write into the folder of the next one: stop it."""
    while child.poll() is None:
        if not is_alive(pid):
            child.terminate()
            try:
                child.wait(grace)
            except subprocess.TimeoutExpired:
                child.kill()
        time.sleep(POLL_SECONDS)


def is_alive(pid, word=""):
    """Whether a process works still, and `word` is in its command line: its number may be another's by now."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            if stream.read().rpartition(")")[2].split()[0] in "ZX":
                return False
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as stream:
            return word in stream.read()
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
