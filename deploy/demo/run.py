#!/usr/bin/env python3
"""Runs Kurir on this machine: `demo` with a simulated WhatsApp, `up` with the real one.

Starts NATS and the services, waits until each is ready, and stops them in the reverse order at Ctrl-C or SIGTERM.
Needs nothing but Python's standard library. Ports: PORT (the API), NATS_PORT, SIMULATOR_PORT, RECEIVER_PORT.
"""

import ctypes
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTACT = "6281234567890"
READY_WITHIN = 60  # seconds; the promise of `ONCE=1 make demo`, counted from the end of the build
STOP_WITHIN = 20  # seconds; a dispatcher may finish a delivery of 10 s first


class Failed(Exception):
    """Something the user can act on; shown without a traceback."""


class Stopped(Exception):
    """Asked to stop by a signal."""


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    if mode not in ("demo", "up"):
        sys.exit("usage: run.py demo|up")
    signal.signal(signal.SIGTERM, lambda *_: stop_now())
    signal.signal(signal.SIGINT, lambda *_: stop_now())
    system = System()
    code = 0
    try:
        (demo if mode == "demo" else up)(system)
    except Stopped:
        print("\nstopping …", flush=True)
    except Failed as failure:
        print(f"\n{mode} failed: {failure}", file=sys.stderr, flush=True)
        code = 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        system.stop()
    sys.exit(code)


def stop_now():
    raise Stopped


# ---------------------------------------------------------------------------------------------------------- demo


def demo(system):
    once = os.environ.get("ONCE", "") not in ("", "0")
    ports = {name: port(name, default) for name, default in
             (("PORT", 3000), ("NATS_PORT", 4222), ("SIMULATOR_PORT", 8080), ("RECEIVER_PORT", 8090))}
    binaries = binary_folder("debug")
    folder = system.make_folder()
    deadline = time.monotonic() + READY_WITHIN
    api, simulator = (f"http://127.0.0.1:{ports[name]}" for name in ("PORT", "SIMULATOR_PORT"))
    receiver = f"http://127.0.0.1:{ports['RECEIVER_PORT']}/webhook"
    key = "demo-key"
    common = {"NATS_URL": f"nats://127.0.0.1:{ports['NATS_PORT']}", "LOG_FILE": ""}

    system.start_nats(ports["NATS_PORT"], folder / "nats", deadline)
    arrived = threading.Event()
    system.start("receiver", [binaries / "kurir", "receive", "--listen", f"127.0.0.1:{ports['RECEIVER_PORT']}"], {},
                 on_line=lambda line: show_webhook(line, arrived))
    system.wait_ready("receiver", deadline)
    system.start("simulator", [binaries / "whatsapp-simulator"],
                 {"SIMULATOR_LISTEN": f"127.0.0.1:{ports['SIMULATOR_PORT']}", "SIMULATOR_AUTO_SCAN": "true"})
    system.wait_ready("simulator", deadline)
    system.start("gateway", [binaries / "kurir-gateway-for-simulator"],
                 common | {"WHATSAPP_URL": f"ws://127.0.0.1:{ports['SIMULATOR_PORT']}/ws/chat",
                           "WHATSAPP_SESSION_PATH": str(folder / "sessions")})
    system.start("webhook-dispatcher", [binaries / "kurir-webhook-dispatcher"], common | {"WEBHOOK_URL": receiver})
    system.start("api", [binaries / "kurir-api"],
                 common | {"HOST": "127.0.0.1", "PORT": str(ports["PORT"]), "API_KEY": key, "WEBHOOK_URL": receiver})
    for name in ("gateway", "webhook-dispatcher", "api"):
        system.wait_ready(name, deadline)

    print("pairing with the simulated phone …", flush=True)
    system.until("the pairing", deadline,
                 lambda: call(f"{api}/api/whatsapp/status", key=key)["data"]["isConnected"])
    print(f"paired; the simulated contact {CONTACT} writes …", flush=True)
    call(f"{simulator}/contacts/{CONTACT}/messages", {"text": "Hello from the simulated WhatsApp!"})
    system.until("the webhook", deadline, arrived.is_set)
    if once:
        return
    print(f"""
The message above went WhatsApp → gateway → NATS → webhook-dispatcher → receiver. It all stays up; Ctrl-C stops it.

  API        {api}/api/health    (key: {key})
  receiver   {receiver}    prints each webhook as one line of JSON
  simulator  {simulator}/accounts
  NATS       nats://127.0.0.1:{ports['NATS_PORT']}    subjects whatsapp.events.>
  logs       {folder}/*.log

Let the contact write again:
  curl -X POST {simulator}/contacts/{CONTACT}/messages -H 'Content-Type: application/json' -d '{{"text":"Hello again"}}'
Answer the contact, and see what arrived there:
  curl -X POST {api}/api/whatsapp/send-message -H 'X-API-Key: {key}' -H 'Content-Type: application/json' -d '{{"to":"{CONTACT}","message":"Hi!"}}'
  curl {simulator}/contacts/{CONTACT}/messages
Send an event of your own through the webhook:
  curl -X POST {api}/api/webhook/send -H 'X-API-Key: {key}' -H 'Content-Type: application/json' -d '{{"eventType":"custom.event","data":{{"n":1}}}}'
""", flush=True)
    system.watch()


def show_webhook(line, arrived):
    print(line, flush=True)
    try:
        if json.loads(line)["event"] == "message.received":
            arrived.set()
    except (ValueError, KeyError, TypeError):
        pass


# ------------------------------------------------------------------------------------------------------------ up


def up(system):
    settings = read_env(ROOT / ".env") | os.environ
    if not settings.get("API_KEY"):
        with open(ROOT / ".env", "a", encoding="utf-8") as env:
            env.write(f"API_KEY={secrets.token_hex(16)}\n")
        print("made an API_KEY for you: it is in .env", flush=True)
    deadline = time.monotonic() + READY_WITHIN
    api_port = port("PORT", 3000, settings)
    binaries = binary_folder("dist")
    environment = dict(os.environ)
    if not settings.get("NATS_URL"):
        nats_port = port("NATS_PORT", 4222, settings)
        system.start_nats(nats_port, ROOT / "data" / "nats", deadline)
        environment["NATS_URL"] = f"nats://127.0.0.1:{nats_port}"
    system.make_folder()
    # The services read .env themselves: they run in the project's folder.
    for name, show in (("webhook-dispatcher", False), ("api", False), ("gateway", True)):
        system.start(name, [binaries / f"kurir-{name}"], environment, folder=ROOT, clean=False,
                     on_line=(lambda line: print(line, flush=True)) if show else None)
    for name in ("webhook-dispatcher", "api", "gateway"):
        system.wait_ready(name, deadline)
    webhook = settings.get("WEBHOOK_URL") or "none (set WEBHOOK_URL in .env)"
    print(f"""
Kurir is up: API http://127.0.0.1:{api_port}/api/health, webhook: {webhook}.
Scan the QR code with WhatsApp on the phone: Settings, Linked devices. Log of all services: logs/app.log. Ctrl-C stops it.
""", flush=True)
    system.watch()


def read_env(path):
    """NAME=value lines; enough to know what the services will read."""
    if not path.exists():
        return {}
    pairs = (line.split("=", 1) for line in path.read_text(encoding="utf-8").splitlines()
             if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip().removeprefix("export ").strip(): value.strip().strip("'\"") for name, value in pairs}


# -------------------------------------------------------------------------------------------------------- system


class System:
    """The processes that were started, in order; each writes its output to a file and is stopped by its own id."""

    def __init__(self):
        self.processes = {}
        self.ready = {}
        self.folder = None

    def make_folder(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kurir-"))
        return self.folder

    def start_nats(self, nats_port, store, deadline):
        fetch = subprocess.run([sys.executable, str(ROOT / "deploy/nats/fetch.py")], stdout=subprocess.PIPE, text=True,
                               check=False)
        if fetch.returncode != 0:
            raise Failed("no nats-server 2.12 or later, and it could not be fetched (see above)")
        if self.folder is None:
            self.make_folder()
        store.mkdir(parents=True, exist_ok=True)
        self.start("nats", [fetch.stdout.strip(), "-c", str(ROOT / "deploy/nats/nats-server.conf"), "-a", "127.0.0.1",
                            "-p", str(nats_port), "-sd", str(store)], {}, ready="Server is ready")
        self.wait_ready("nats", deadline)

    def start(self, name, command, environment, folder=None, clean=True, ready="ready", on_line=None):
        if clean:
            environment = {key: os.environ[key] for key in ("PATH", "HOME", "TERM") if key in os.environ} | environment
        process = subprocess.Popen([str(part) for part in command], env=environment, cwd=folder or self.folder,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True, preexec_fn=die_with_parent, text=True, errors="replace")
        self.processes[name] = process
        self.ready[name] = threading.Event()
        threading.Thread(target=self.follow, args=(name, process, ready, on_line), daemon=True).start()

    def follow(self, name, process, ready, on_line):
        with open(self.folder / f"{name}.log", "a", encoding="utf-8") as log:
            for line in process.stdout:
                log.write(line)
                log.flush()
                line = line.rstrip("\n")
                if ready == line or (ready != "ready" and ready in line):
                    self.ready[name].set()
                elif on_line:
                    on_line(line)

    def wait_ready(self, name, deadline):
        self.until(f"{name} to be ready", deadline, self.ready[name].is_set)

    def until(self, what, deadline, condition):
        last = None
        while time.monotonic() < deadline:
            self.check()
            try:
                if condition():
                    return
            except (OSError, ValueError, KeyError, urllib.error.URLError) as error:
                last = error
            time.sleep(0.1)
        raise Failed(f"waited {READY_WITHIN} s in vain for {what}" + (f" (last: {last})" if last else "") + self.tails())

    def watch(self):
        while True:
            self.check()
            time.sleep(0.5)

    def check(self):
        for name, process in self.processes.items():
            if process.poll() is not None:
                time.sleep(0.2)  # its last lines are still on their way to the file
                raise Failed(f"{name} ended with exit code {process.returncode}\n{self.tail(name)}")

    def tail(self, name):
        lines = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {name}: {line}" for line in lines[-15:])

    def tails(self):
        return "".join("\n" + self.tail(name) for name in self.processes if (self.folder / f"{name}.log").exists())

    def stop(self):
        # The services first, NATS last: what they drain still needs it.
        for name, process in reversed(list(self.processes.items())):
            if process.poll() is None:
                process.terminate()
                if name == next(iter(self.processes)):
                    continue
        for name, process in reversed(list(self.processes.items())):
            try:
                process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                print(f"{name} did not stop within {STOP_WITHIN} s and was killed", file=sys.stderr)
                process.kill()
                process.wait()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def die_with_parent():
    """On Linux the kernel ends a child whose parent was killed: nothing is left behind even then."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def port(variable, default, settings=os.environ):
    text = settings.get(variable) or str(default)
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise Failed(f"{variable}={text} is no port: use a number from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except OSError as error:
            raise Failed(f"port {text} is taken ({error.strerror}): choose another one with {variable}=…") from error
    return int(text)


def binary_folder(profile):
    return pathlib.Path(os.environ.get("KURIR_BIN_DIR") or
                        pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / profile)


def call(url, body=None, key=None):
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {}))
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()
