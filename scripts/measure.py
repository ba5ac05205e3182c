"""What scripts/bench-net measures with: processes that end with it, streams, starts, and rows of its table."""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

TURNS = int(os.environ.get("TURNS", "15"))
SECONDS = os.environ.get("SECONDS_EACH", "1")
RUNS = int(os.environ.get("RUNS", "50"))

running = []


def die(text):
    sys.exit(f"bench-net: error: {text}")


def sh(script, **options):
    done = subprocess.run(["sh", "-ec", script], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)
    if done.returncode != 0:
        die(f"{script}: {done.stderr}")
    return done.stdout.strip()


def start(words, ready=None, **options):
    """Starts what ends with this program, and waits for the line that says it is there."""
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               start_new_session=True, preexec_fn=end_with_parent, **options)  # noqa: PLW1509
    running.append(process)
    if ready is not None:
        for line in process.stdout:
            if ready in line:
                return process
        die(f"{words}: ended without {ready!r}")
    return process


def end_with_parent():
    """What is started ends when this program is killed, rl-run with its container."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def end(process):
    """Ends a process as its user would; what hangs is killed."""
    if process.poll() is None:
        process.stdin.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    # RootlessKit and pasta leave the command that they have started.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process in running:
        running.remove(process)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def stream(words, **options):
    """The speed of a stream as its receiver saw it, in Gbit/s. A server may still be busy with the last one."""
    for _ in range(20):
        done = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False, **options)
        try:
            report = json.loads(done.stdout)
            return report["end"]["sum_received"]["bits_per_second"] / 1e9
        except (ValueError, KeyError):
            time.sleep(0.25)
    return die(f"{words}: {done.stdout} {done.stderr}")


def in_turns(ours, theirs, turns, best=min):
    """The medians of the faster halves of both sides, and their ratio."""
    a, b = [], []
    for turn in range(turns):
        for values, measure in ((a, ours), (b, theirs)) if turn % 2 else ((b, theirs), (a, ours)):
            values.append(measure())
    fast = [statistics.median(sorted(values, reverse=best is max)[:(turns + 1) // 2]) for values in (a, b)]
    return *fast, fast[0] / fast[1]


def row(name, measured, goal, at_least, peer):
    ours, theirs, ratio = measured
    met = ratio >= goal if at_least else ratio <= goal
    print(f"{name:<19} {ours:9.2f} {theirs:9.2f} {ratio:7.2f}  {'≥' if at_least else '≤'} {goal:4.2f}  {'yes' if met else 'no':<4} {peer}", flush=True)


def speeds(name, ours, theirs, goal, peer, **options):
    row(name, in_turns(lambda: stream(ours, **options), lambda: stream(theirs, **options), TURNS, max), goal, True, peer)


def took(words, **options):
    """From the start to the first byte that is written, or to the end where there is none, in ms."""
    begin = time.perf_counter()
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, **options) as process:
        first = process.stdout.read(1)
        at = time.perf_counter()
        said = process.stderr.read()
    if process.returncode != 0:
        die(f"{words}: {said.decode()}")
    return (at - begin) * 1000, first


def version(*words):
    """The first line of what a program says of itself."""
    if not shutil.which(words[0]):
        return f"no {words[0]}"
    done = subprocess.run([*words, "--version"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.partition("\n")[0].partition(" (")[0]


def busy():
    """What share of the processors' time others take, in a second of waiting, in per cent."""
    def ticks():
        with open("/proc/stat") as f:
            values = [int(v) for v in f.readline().split()[1:9]]
        return sum(values), values[3] + values[4]  # idle, and waiting for a disk
    a = ticks()
    time.sleep(1)
    b = ticks()
    return 100 * (1 - (b[1] - a[1]) / max(b[0] - a[0], 1))


def state(before):
    """What the machine was like: figures of a busy one say little."""
    print(f"\nmachine: {before:.0f} % busy with other work before, {busy():.0f} % after; {TURNS} streams of {SECONDS} s, {RUNS} starts", flush=True)
    print(", ".join(version(name) for name in ("iperf3", "slirp4netns", "pasta", "rootlesskit", "podman")), flush=True)


def heading():
    print("bench-net: medians of the faster halves; streams in Gbit/s, starts in ms")
    print(f"{'pair':<19} {'rl-run':>9} {'peer':>9} {'ratio':>7}  {'goal':>6}  {'met':<4} peer", flush=True)
