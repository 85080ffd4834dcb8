#!/usr/bin/env python3
"""Runs Kurir on this machine: `demo` with a simulated WhatsApp, `up` with the real one.

Starts NATS and the services, waits until each is ready, and stops them in the reverse order at Ctrl-C or SIGTERM.
Every setting of the environment reaches the services, except those by which the parts find each other.
Needs nothing but Python's standard library. Ports: PORT (the API), NATS_PORT, SIMULATOR_PORT, RECEIVER_PORT.
"""

import ctypes
import json
import os
import pathlib
import re
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
READY_WITHIN = 60  # seconds; the promise of `ONCE=1 make demo`, counted from the end of the build and of the download of NATS
STOP_WITHIN = 20  # seconds; a dispatcher may finish a delivery of 10 s first


class Failed(Exception):
    """Something the user can act on; shown without a traceback."""


class Stopped(Exception):
    """Asked to stop by a signal."""


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    if mode not in ("demo", "up"):
        sys.exit("usage: run.py demo|up")
    sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8 shows a mark instead of ending the demo
    os.umask(0o077)  # logs, sessions and .env hold secrets and people's messages
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
    server = nats_server()
    deadline = time.monotonic() + READY_WITHIN
    api, simulator, receiver = (f"http://127.0.0.1:{ports[name]}" for name in ("PORT", "SIMULATOR_PORT", "RECEIVER_PORT"))
    nats = f"nats://127.0.0.1:{ports['NATS_PORT']}"
    receiver += "/webhook"
    key = os.environ.get("API_KEY") or secrets.token_hex(16)
    webhook = os.environ.get("WEBHOOK_URL")
    services = {
        "NATS_URL": nats, "API_KEY": key, "SECRETS_KEY": secrets.token_hex(32), "WEBHOOK_URL": webhook or receiver, "PORT": str(ports["PORT"]),
        "HOST": os.environ.get("HOST") or "127.0.0.1", "LOG_FILE": os.environ.get("LOG_FILE", ""),
        # Receivers on this machine are what one tries out first; elsewhere they stay refused.
        "WEBHOOK_ALLOWED_NETWORKS": ",".join(filter(None, (os.environ.get("WEBHOOK_ALLOWED_NETWORKS"), "127.0.0.0/8", "::1"))),
        "WHATSAPP_URL": f"ws://127.0.0.1:{ports['SIMULATOR_PORT']}/ws/chat",
        "WHATSAPP_SESSION_PATH": str(folder / "sessions"), "SIMULATOR_URL": simulator,
    }

    system.start_nats(server, ports["NATS_PORT"], folder / "nats", deadline)
    step(f"NATS is ready at {nats}")
    shown = Webhooks()
    system.start("receiver", [binaries / "kurir", "receive", "--listen", f"127.0.0.1:{ports['RECEIVER_PORT']}"],
                 on_line=shown.add)
    system.wait_ready("receiver", deadline)
    step(f"a receiver of webhooks is ready at {receiver}")
    system.start("simulator", [binaries / "whatsapp-simulator"],
                 {"SIMULATOR_LISTEN": f"127.0.0.1:{ports['SIMULATOR_PORT']}", "SIMULATOR_AUTO_SCAN": "true"})
    system.wait_ready("simulator", deadline)
    step(f"a simulated WhatsApp is ready at {simulator}")
    start_services(system, binaries, services, {"gateway": "kurir-gateway-for-simulator"}, deadline)
    step(f"the gateway, the webhook-dispatcher and the API are ready; the API at {api}")
    if webhook:
        # The given URL receives every event as well; this endpoint is what the demo shows.
        call(f"{api}/api/endpoints", {"url": receiver}, key)
    system.until("the pairing", deadline,
                 lambda: call(f"{api}/api/whatsapp/status", key=key)["data"]["isConnected"])
    step("the simulated phone scanned the QR code: the account is linked")
    call(f"{simulator}/contacts/{CONTACT}/messages", {"text": "Hello from the simulated WhatsApp!"})
    step(f"the contact {CONTACT} wrote; the receiver got this event:")
    system.until("the webhook", deadline, lambda: shown.first is not None)
    print("\n" + json.dumps(shown.first, indent=2, ensure_ascii=False) + "\n", flush=True)
    if once:
        return
    as_json = "-H 'Content-Type: application/json'"
    with_key = f"-H 'X-API-Key: {key}'"
    print(f"""It went from WhatsApp through the gateway, NATS and the webhook-dispatcher to the receiver.
All of it stays up; Ctrl-C stops it and leaves nothing behind. API key: {key}

What next? Paste a line into another terminal; this one shows what the receiver gets. For the lines of the documents,
first: export API_KEY={key}

Open the dashboard, log in with the key, and write as the contact on the page Phone:
  {api}
Write as the contact:
  curl -X POST {simulator}/contacts/{CONTACT}/messages {as_json} -d '{{"text":"Hello again"}}'
Send as the account:
  curl -X POST {api}/api/whatsapp/send-message {with_key} {as_json} -d '{{"to":"{CONTACT}","message":"Hi!"}}'
See what the contact received:
  curl {simulator}/contacts/{CONTACT}/messages
Send an event of your own through the webhook:
  curl -X POST {api}/api/webhook/send {with_key} {as_json} -d '{{"eventType":"custom.event","data":{{"n":1}}}}'
Add a receiver of yours, on this machine too (n8n listens on 5678):
  curl -X POST {api}/api/endpoints {with_key} {as_json} -d '{{"url":"http://127.0.0.1:5678/webhook/kurir","events":["message.received"]}}'
{reference(api)}
Follow the logs:
  tail -f {folder}/*.log
""", flush=True)
    shown.follow()
    system.watch()


def reference(api):
    """Where the API is described: its own page if this build serves one."""
    try:
        with urllib.request.urlopen(f"{api}/docs", timeout=5):
            return f"Read about every route, in a browser:\n  {api}/docs"
    except OSError:
        return f"Read about every route:\n  less {ROOT}/docs/api.md"


def step(text):
    print(f"✓ {text}", flush=True)


class Webhooks:
    """What the receiver prints, a line of JSON for each event: the first message whole, later events in one short line."""

    def __init__(self):
        self.first = None
        self.following = False

    def add(self, line):
        try:
            event = json.loads(line)
            name, data = event["event"], event["data"]
        except (ValueError, KeyError, TypeError):
            return
        if self.following:
            # A QR code is a secret, and no use as text.
            what = next((data[field] for field in ("content", "status", "error", "n") if data.get(field)), "")
            print(f"→ {name} {json.dumps(what, ensure_ascii=False) if what else ''}".rstrip(), flush=True)
        elif name == "message.received" and self.first is None:
            self.first = event

    def follow(self):
        self.following = True


# ------------------------------------------------------------------------------------------------------------ up


def up(system):
    file = ROOT / ".env"
    settings = read_env(file) | os.environ
    if not settings.get("API_KEY"):
        add_to_env(file, "API_KEY", secrets.token_hex(16))
        print("made an API_KEY for you: it is in .env", flush=True)
    if not settings.get("SECRETS_KEY") and not settings.get("SECRETS_KEY_FILE"):
        add_to_env(file, "SECRETS_KEY", secrets.token_hex(32))
        print("made a SECRETS_KEY, which seals the secrets that NATS stores: it is in .env; keep a copy of it", flush=True)
    server = None if settings.get("NATS_URL") else nats_server()
    deadline = time.monotonic() + READY_WITHIN
    api_port = port("PORT", 3000, settings)
    binaries = binary_folder("local")
    # The real environment wins over .env: only what .env lacks is set here.
    services = {} if settings.get("HOST") else {"HOST": "127.0.0.1"}
    host = settings.get("HOST") or services["HOST"]
    if server:
        nats_port = port("NATS_PORT", 4222, settings)
        operator = settings.get("NATS_PASSWORD") or add_to_env(file, "NATS_PASSWORD", new_password())
        passwords = {"kurir": operator} | {user: password_of(user) for user in NATS_USERS}
        system.start_nats(server, nats_port, ROOT / "data" / "nats", deadline, passwords)
        services |= {"NATS_URL": f"nats://127.0.0.1:{nats_port}"}
        step(f"NATS is ready at nats://127.0.0.1:{nats_port} (user kurir, NATS_PASSWORD of .env)")
    system.make_folder()
    if settings.get("HEALTH_LISTEN"):
        services["HEALTH_LISTEN"] = settings["HEALTH_LISTEN"]
    # The services read .env themselves: they run in the project's folder.
    logins = {name: nats_login(name, passwords[name]) for name in NATS_USERS} if server else {}
    start_services(system, binaries, services, {}, deadline, folder=ROOT, logins=logins,
                   on_line={"gateway": lambda line: print(line, flush=True)})
    webhook = settings.get("WEBHOOK_URL") or "none (set WEBHOOK_URL in .env)"
    shown_host = f"[{host}]" if ":" in host else host
    print(f"""
Kurir is up. The API listens on {shown_host}:{api_port}; HOST=0.0.0.0 in .env lets other machines in. Webhook: {webhook}.
Scan the QR code with WhatsApp on the phone: Settings, Linked devices. Log of all services: logs/app.log. Ctrl-C stops it.
""", flush=True)
    system.watch()


# The users of deploy/nats/users.conf besides the operator, `kurir`.
NATS_USERS = ("gateway", "webhook-dispatcher", "api", "reader")


def password_of(user):
    """The password of a user of NATS, made at the first start; it is kept beside the streams."""
    file = ROOT / "data" / "nats-login" / f"{user}.password"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Whole or not at all, whenever this is interrupted.
        new = file.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(new_password() + "\n", encoding="utf-8")
        new.replace(file)
    return file.read_text(encoding="utf-8").strip()


def new_password():
    """NATS reads a value that begins with a digit as a number."""
    return "p" + secrets.token_hex(16)


def nats_login(user, password):
    return {"NATS_USER": user, "NATS_PASSWORD": password, "NATS_INBOX_PREFIX": f"_INBOX_{user}"}


def add_to_env(path, name, value):
    """Adds a line to .env, which nobody else may read from then on; returns the value."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    with open(path, "a", encoding="utf-8") as env:
        env.write(("\n" if text and not text.endswith("\n") else "") + f"{name}={value}\n")
    path.chmod(0o600)
    return value


# As Node's dotenv reads it, and the services do.
ENV_LINE = re.compile(
    r"""^\s*(?:export\s+)?([\w.-]+)(?:\s*=\s*?|:\s+?)"""
    r"""(\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|\s*`(?:\\`|[^`])*`|[^#\r\n]+)?\s*(?:#.*)?$""",
    re.MULTILINE,
)


def read_env(path):
    """The settings in .env: enough to know what the services will read."""
    if not path.exists():
        return {}
    settings = {}
    for name, value in ENV_LINE.findall(path.read_text(encoding="utf-8")):
        value = value.strip()
        quote = value[:1]
        if quote in ("'", '"', "`") and len(value) > 1 and value.endswith(quote):
            value = value[1:-1]
            if quote == '"':
                value = value.replace("\\n", "\n").replace("\\r", "\r")
        settings[name] = value
    return settings


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

    def start_nats(self, server, nats_port, store, deadline, passwords=None):
        """With passwords, by user, NATS asks for one of them."""
        if self.folder is None:
            self.make_folder()
        store.mkdir(parents=True, exist_ok=True)
        configuration = ROOT / "deploy/nats" / ("protected.conf" if passwords else "nats-server.conf")
        variables = {f"NATS_{user.upper().replace('-', '_')}_PASSWORD": text for user, text in (passwords or {}).items()}
        self.start("nats", [server, "-c", str(configuration), "-a", "127.0.0.1", "-p", str(nats_port),
                            "-sd", str(store)], variables, ready="Server is ready")
        self.wait_ready("nats", deadline)

    def start(self, name, command, environment=None, folder=None, ready="ready", on_line=None):
        process = subprocess.Popen([str(part) for part in command], env=os.environ | (environment or {}), cwd=folder or self.folder,
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


def nats_server():
    """The path of a nats-server, which is downloaded if there is none; that may take longer than a start may."""
    fetch = subprocess.run([sys.executable, str(ROOT / "deploy/nats/fetch.py")], stdout=subprocess.PIPE, text=True,
                           check=False)
    if fetch.returncode != 0:
        raise Failed("no nats-server 2.12 or later, and it could not be fetched (see above)")
    return fetch.stdout.strip()


def start_services(system, binaries, environment, programs, deadline, folder=None, on_line=None, logins=None):
    """Starts the three services with the same settings; `programs`, `on_line` and `logins` name exceptions."""
    for name in ("webhook-dispatcher", "api", "gateway"):
        own = environment | (logins or {}).get(name, {})
        health = environment.get("HEALTH_LISTEN") or os.environ.get("HEALTH_LISTEN")
        if name == "webhook-dispatcher" and health:
            own |= {"HEALTH_LISTEN": next_port(health)}
        system.start(name, [binaries / programs.get(name, f"kurir-{name}")], own, folder=folder,
                     on_line=(on_line or {}).get(name))
    for name in ("webhook-dispatcher", "api", "gateway"):
        system.wait_ready(name, deadline)


def next_port(address):
    """Two programs cannot share an address: the webhook-dispatcher listens one port above the gateway."""
    host, _, number = address.rpartition(":")
    return f"{host}:{int(number) + 1}" if number.isdigit() else address


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
