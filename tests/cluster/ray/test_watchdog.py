"""The watchdog ends what stands still, lets what works alone, and clears up behind the dead."""

import subprocess
import sys
import textwrap
import threading
import time

import pytest

from axiograph.cluster.ray.watchdog import IDLE, WORKING, Watchdog

psutil = pytest.importorskip("psutil")

BODY = """
import signal, subprocess, sys, time
from axiograph.cluster.ray.watchdog import Watchdog
dog = Watchdog(1.0, 60.0)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
"""


def run(body, seconds=60.0):
    """(exit code, pid of its child) of a process with a watchdog of one second."""
    program = BODY + textwrap.dedent(body)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    return process.wait(seconds), child


def gone(pid, seconds=30.0):
    until = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.parametrize("how", ["time.sleep(600)", "signal.raise_signal(signal.SIGSTOP)"])
def test_a_process_that_stands_still_is_killed_with_its_children(how):
    code, child = run(f"""
        with dog.busy():
            time.sleep(0.6)  # time to see the child
            {how}
    """)
    assert code == -9
    assert gone(child)


def test_a_process_that_is_stopped_while_it_rests_is_killed_too():
    code, child = run("""
        with dog.busy():
            time.sleep(0.6)
        signal.raise_signal(signal.SIGSTOP)
    """)
    assert code == -9
    assert gone(child)


def test_progress_and_idleness_keep_it_alive():
    code, _ = run("""
        with dog.busy():
            for _ in range(30):
                time.sleep(0.1)
                dog.beat()
        time.sleep(2)  # nothing to do
        with dog.busy(), dog.busy():
            pass
        with dog.busy(starting=True):
            time.sleep(2)
        child.kill()
        sys.exit(7)
    """)
    assert code == 7


def test_what_a_dead_process_leaves_behind_is_ended():
    code, child = run("""
        time.sleep(1.5)
        signal.raise_signal(signal.SIGKILL)
    """)
    assert code == -9
    assert gone(child)


def test_rest_of_one_thread_never_hides_the_work_of_another(monkeypatch):
    told, entered, resting = [], threading.Event(), threading.Event()

    def tell(state):
        if state == IDLE:
            resting.set()
            # Without a lock around it, the other thread's word would now come first, and this one last.
            entered.wait(0.5)
        told.append(state)

    dog = Watchdog(60.0, 60.0)
    monkeypatch.setattr(dog, "_tell", tell)
    done = threading.Event()

    def work():
        resting.wait()
        with dog.busy():
            entered.set()
            done.wait()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    with dog.busy():
        pass
    entered.wait()
    assert told[-1] == WORKING
    done.set()
    thread.join()
    assert told == [WORKING, IDLE, WORKING, IDLE]
