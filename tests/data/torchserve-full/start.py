"""Rendered by Pantala: starts TorchServe and tells Kubernetes the truth about its model.

TorchServe 0.12 alone leaves with 0 when it cannot start, tries for ever to load a model that cannot be loaded, calls
itself healthy meanwhile, and as process 1 ignores SIGTERM. Here a model that cannot be loaded ends the process with the
reason in the termination message, GET /ready on port 8083 is 200 only while a worker has the model, and SIGTERM lets
requests in flight finish.
"""

import collections
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

MODEL = 'resnet_50'
DRAIN_SECONDS = 45
STORE = '/tmp/model-store'
MANAGEMENT = "http://127.0.0.1:8081/models/" + MODEL
# Failed loads of one worker in a row: before the model was ever there, and after.
FIRST_FAILURES, LATER_FAILURES = 2, 5

ready = threading.Event()
ever_ready = threading.Event()
failures = collections.Counter()
output = collections.deque(maxlen=400)
ending = threading.Lock()  # taken once, by whoever ends the process


def link_model():
    """Give the archive and the unpacked archive the one name that config.properties knows."""
    os.makedirs(STORE, exist_ok=True)
    link = os.path.join(STORE, MODEL + ".mar")
    if not os.path.lexists(link):
        packed = os.path.join('/models', MODEL + ".mar")
        os.symlink(packed if os.path.exists(packed) else packed[: -len(".mar")], link)


def cause():
    """What the log says of the last failure: its errors in one line each, and the text around them."""
    lines = list(output)
    begin = max((at for at, line in enumerate(lines) if "Torch worker started" in line), default=None)
    words = [line.partition(" MODEL_LOG - ")[2] for line in lines[begin or 0 :] if " MODEL_LOG - " in line]
    tracebacks = [at for at, line in enumerate(words) if line.startswith("Traceback")]
    if tracebacks:
        # Python tells a chain of errors root first; TorchServe adds its own, which say nothing, to those of the model.
        chain = words[tracebacks[0] :]
        at = [i for i, line in enumerate(chain) if re.match(r"[A-Za-z_][\w.]*(: |$)", line)]
        errors = list(dict.fromkeys(chain[i] for i in at))
        told = [line for line in errors if not re.search(r"500 - Unknown exception|'ts\.torch_handler\.", line)]
        return told or errors, chain[: at[0] + 1] if at else chain
    complaints = [at for at, line in enumerate(lines) if re.search(r"\[(WARN |ERROR)\]|^Invalid|: error: ", line)]
    at = complaints[-1] if complaints else -12
    if begin is not None:
        return ["a worker died without a traceback; was it out of memory?"], lines[at:][:12]
    text = lines[at:][:6]
    thrown = [line for line in text[1:] if re.match(r"(Caused by: )?[\w.$]+(Exception|Error): ", line)]
    return [re.sub(r"^.*?\] |^(Caused by: )?[\w.$]+(Exception|Error): ", "", line) for line in [lines[at], *thrown[:1]]] if complaints else [], text


def give_up(server, what):
    """End with the reason as the termination message, the error itself first."""
    ending.acquire()
    errors, text = cause()
    message = ": ".join([what, *(["; ".join(errors)[:400]] if errors else [])]) + "\n"
    message += "\n".join(text)[-(1024 - len(message)) :]
    try:
        with open('/dev/termination-log', "w", encoding="utf-8") as file:
            file.write(message)
    except OSError:
        pass
    print(message, flush=True)
    stop(server)
    os._exit(1)


def stop(server):
    """End TorchServe and its workers, which share its process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
            server.wait(5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def poll(server):
    """Ask TorchServe about the model every second; give up if the server runs without it."""
    while True:
        try:
            with urllib.request.urlopen(MANAGEMENT, timeout=5) as answer:
                workers = [w for version in json.load(answer) for w in version.get("workers", [])]
            loaded = any(worker["status"] == "READY" for worker in workers)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                give_up(server, f"TorchServe cannot register model {MODEL}")
            loaded = False
        except (OSError, ValueError, KeyError):
            loaded = False
        if loaded:
            failures.clear()
            ready.set()
            ever_ready.set()
        else:
            ready.clear()
        time.sleep(1)


def watch(server):
    """Pass TorchServe's output on, and count the loads that failed."""
    for raw in server.stdout:
        line = raw.decode("utf-8", "replace").rstrip("\n")
        print(line, flush=True)
        output.append(line)
        found = re.search(r"Retry worker: (\d+) in", line)
        if found:
            failures[found[1]] += 1
            if failures[found[1]] >= (LATER_FAILURES if ever_ready.is_set() else FIRST_FAILURES):
                # The worker's last words may still be on their way.
                threading.Timer(0.5, give_up, (server, f"TorchServe cannot load model {MODEL}")).start()
    code = server.wait()
    give_up(server, f"TorchServe ended with code {code}")


def connections():
    """Open connections of clients, by their local port (hexadecimal in /proc)."""
    count = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as rows:
                fields = [row.split() for row in list(rows)[1:]]
        except OSError:
            continue
        count += sum(row[3] == "01" and int(row[1].rpartition(":")[2], 16) in [8080, 7070] for row in fields)
    return count


def drain(server):
    """Wait for clients to leave, then end."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while connections() and time.monotonic() < deadline:
        time.sleep(0.2)
    ending.acquire()
    stop(server)
    os._exit(0)


class Health(http.server.BaseHTTPRequestHandler):
    """GET /ready: is the model there? GET /live: is anybody there?"""

    def do_GET(self):
        fine = self.path == "/live" or ready.is_set()
        self.send_response(200 if fine else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Probes are not worth a line."""


def main():
    link_model()
    server = subprocess.Popen(
        [sys.executable, "-m", "ts.model_server", *sys.argv[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=drain, args=(server,)).start())
    health = http.server.ThreadingHTTPServer(("", 8083), Health)
    threading.Thread(target=health.serve_forever, daemon=True).start()
    threading.Thread(target=poll, args=(server,), daemon=True).start()
    watch(server)


if __name__ == "__main__":
    main()
