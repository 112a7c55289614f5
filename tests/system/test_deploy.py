# SPDX-License-Identifier: Apache-2.0
"""docker-compose.yml and deploy/, held against what they speak of; and compose's commands, without containers."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from cache import HERE
from kafka import Cluster
from process import wait_until
from programs import Programs
from registry import Registry

ROOT = HERE.parents[1]
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: s for name, s in SERVICES.items() if s["image"] == "envelope"}
PROCESSORS = ("join", "governance", "accounting")
PROMETHEUS: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
TOPICS: list[dict[str, Any]] = json.loads((ROOT / "schemas/topics.json").read_text())
PINNED = re.compile(r"[a-z0-9./-]+:v?[0-9]+(\.[0-9]+)*(-[a-z0-9.]+)?(@sha256:[0-9a-f]{64})?")


def environment(service: str) -> dict[str, str]:
    return {name: str(value) for name, value in SERVICES[service].get("environment", {}).items()}


def commands(service: str) -> list[list[str]]:
    """What a service runs: its words, or those of each command that it has a shell run."""
    given = SERVICES[service].get("command", [])
    words = shlex.split(given) if isinstance(given, str) else given
    if words[:2] == ["sh", "-c"]:
        return [shlex.split(part) for part in words[2].split("&&")]
    return [words] if words else []


# What the programs take, as docs/options.md has it


@dataclass
class Known:
    """The options of one program: those of every command under "", then those of each."""

    options: dict[str, set[str]] = field(default_factory=dict)
    variables: dict[str, set[str]] = field(default_factory=dict)


def read_reference(text: str) -> dict[str, Known]:
    programs: dict[str, Known] = {}
    known, command, commands = Known(), "", set()
    for line in text.splitlines():
        if line.startswith("## "):
            known = programs.setdefault(line.split()[1], Known())
        elif line.startswith("### "):
            command = line.removeprefix("### ")
        elif row := re.match(r"\| `(-.*?)` \|.*\| (\w*) \|$", line):
            names = re.findall(r"(?<!\S)--?[A-Za-z][a-z-]*", row[1])
            known.options.setdefault(command, set()).update(names)
            known.variables.setdefault(command, set()).update({row[2]} - {""})
        elif row := re.match(r"\| `([a-z]+(?: [a-z]+)?)", line):
            commands.add(row[1])
    for known in programs.values():
        for table in (known.options, known.variables):
            shared = [name for name in table if name not in commands]
            table[""] = set().union(*(table.pop(name) for name in shared))
    return programs


REFERENCE = read_reference((ROOT / "docs/options.md").read_text())


def unknown_in(words: list[str], variables: set[str]) -> set[str]:
    """What of a command line and its environment the reference does not have."""
    known = REFERENCE.get(words[0])
    if known is None:
        return {words[0]}
    command = " ".join(words[1:3]) if " ".join(words[1:3]) in known.options else ""
    options = {w.split("=")[0] for w in words[1:] if w.startswith("-")}
    taken = set().union(*known.variables.values()) if not command else known.variables[""] | known.variables[command]
    return (options - known.options[""] - known.options[command]) | (variables - taken)


def test_the_reference_is_read() -> None:
    assert {"--http", "--deadline", "-X", "--property", "--help"} <= REFERENCE["envelope-join"].options[""]
    assert REFERENCE["envelopectl"].options["topics apply"] >= {"--partitions", "--dry-run"}
    assert "--partitions" not in REFERENCE["envelopectl"].options[""]
    assert unknown_in(["envelopectl", "topics", "apply", "--partitions", "1"], {"ENVELOPE_BOOTSTRAP"}) == set()
    assert unknown_in(["envelope-join", "--htpp=x"], {"ENVELOPE_HTPP"}) == {"--htpp", "ENVELOPE_HTPP"}
    assert unknown_in(["envelope-jion"], set()) == {"envelope-jion"}


def test_options_and_variables_exist() -> None:
    assert {s for s in SERVICES if commands(s)} >= {"setup", *PROCESSORS}
    for service in OURS:
        for words in commands(service):
            assert unknown_in(words, set(environment(service))) == set(), service


# What the files say of each other


def test_images_are_pinned_and_are_what_the_tests_run() -> None:
    images = {name: s["image"] for name, s in SERVICES.items() if name not in OURS}
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases and all(PINNED.fullmatch(image) for image in [*images.values(), *bases]), (images, bases)
    assert {s["build"]["dockerfile"] for s in OURS.values()} == {"deploy/Dockerfile"}

    kafka_pom = (HERE / "kafka/pom.xml").read_text()
    assert f"<kafka.version>{images['kafka'].partition(':')[2]}</kafka.version>" in kafka_pom
    registry_pom = (HERE / "registry/pom.xml").read_text()
    assert f"<version>{images['registry'].partition(':')[2]}</version>" in registry_pom


def test_names_and_ports_of_other_services_are_theirs() -> None:
    kafka = environment("kafka")
    listeners = dict(re.findall(r"(\w+)://([^,]+)", kafka["KAFKA_ADVERTISED_LISTENERS"]))
    bound = {port for _, port in re.findall(r"(\w+)://:(\d+)", kafka["KAFKA_LISTENERS"])}
    inside = listeners[kafka["KAFKA_INTER_BROKER_LISTENER_NAME"]]
    assert {address.partition(":")[2] for address in listeners.values()} < bound
    assert kafka["KAFKA_CONTROLLER_QUORUM_VOTERS"].rpartition(":")[2] in bound
    assert listeners["HOST"].replace("localhost", "") == ":29092" and SERVICES["kafka"]["ports"] == ["29092:29092"]
    assert f" {inside}" in SERVICES["kafka"]["healthcheck"]["test"]
    assert environment("registry")["APICURIO_KAFKASQL_BOOTSTRAP_SERVERS"] == inside
    for service in OURS:
        assert environment(service)["ENVELOPE_BOOTSTRAP"] == inside
        assert urllib.parse.urlsplit(environment(service)["ENVELOPE_SCHEMA_REGISTRY"]).hostname == "registry"
    for service, given in SERVICES.items():
        awaited = given.get("depends_on", {})
        assert awaited.keys() <= SERVICES.keys() - {service}
        assert all("healthcheck" in SERVICES[n] for n, a in awaited.items() if a["condition"] == "service_healthy")


def test_prometheus_scrapes_what_the_processors_serve() -> None:
    served = {f"{name}:{environment(name)['ENVELOPE_HTTP'].rpartition(':')[2]}" for name in PROCESSORS}
    scraped = [t for job in PROMETHEUS["scrape_configs"] for s in job["static_configs"] for t in s["targets"]]
    assert sorted(scraped) == sorted(served)
    assert all(job.get("metrics_path", "/metrics") == "/metrics" for job in PROMETHEUS["scrape_configs"])
    for name in PROCESSORS:
        assert environment(name)["ENVELOPE_HTTP"].startswith("0.0.0.0:")
        (published,) = SERVICES[name]["ports"]
        assert f"{name}:{published.partition(':')[2]}" in served and published.partition(":")[0] in COMPOSE_TEXT
    (mounted,) = SERVICES["prometheus"]["volumes"]
    source, target, _ = mounted.split(":")
    assert (ROOT / source).read_text() and SERVICES["prometheus"]["command"] == [f"--config.file={target}"]


def test_what_must_last_lies_in_a_volume() -> None:
    mounts = {name: [v.split(":") for v in s.get("volumes", [])] for name, s in SERVICES.items()}
    named = [v[0] for volumes in mounts.values() for v in volumes if not v[0].startswith(".")]
    assert sorted(named) == sorted(COMPOSE["volumes"])
    assert environment("kafka")["KAFKA_LOG_DIRS"] in [v[1] for v in mounts["kafka"]]
    assert environment("registry")["APICURIO_STORAGE_KIND"] == "kafkasql"
    for name in PROCESSORS:
        state = environment(name)["ENVELOPE_STATE_DIR"]
        assert [v[1] for v in mounts[name]] == [state]
        # Made in the image for its user, and so in a volume that is new.
        assert re.search(rf"install -d -o envelope[^&]* {state}\s", DOCKERFILE), state
    assert "\nUSER envelope\n" in DOCKERFILE


# The image


def bash_array(name: str) -> list[str]:
    text = (ROOT / "deploy/install-packages").read_text()
    found = re.search(rf"^{name}=\(([^)]*)\)", text, re.MULTILINE)
    assert found is not None, name
    return found[1].split()


def test_the_image_is_built_with_the_one_list_of_packages() -> None:
    _, build, run = DOCKERFILE.split("\nFROM ")
    makefile = (ROOT / "Makefile").read_text()
    assert re.findall(r"apt-get install (.*)", build) == ["-y --no-install-recommends make"]
    assert "make packages && make && make install" in build
    assert "\npackages:\n\tdeploy/install-packages build\n" in makefile
    # Each library of the Makefile's is in it by the name that its error message says.
    libraries = set(re.findall(r"^package\.\S+ := (\S+)", makefile, re.MULTILINE))
    assert libraries - {"libcmocka-dev"} <= set(bash_array("build"))

    # Those to run with are found from the programs.
    assert "deploy/runtime-packages /out/usr/bin/* >/out/packages" in build
    assert re.findall(r"apt-get install (.*)", run) == ["-y --no-install-recommends </tmp/packages \\"]


def test_packages_to_run_with_are_found_from_the_programs(programs: Programs, tmp_path: Path) -> None:
    found = programs.run(ROOT / "deploy/runtime-packages", *sorted(programs.folder.iterdir()))
    packages = found.stdout.decode().split()
    assert found.stderr == b"" and packages == sorted(set(packages)) and "ca-certificates" in packages
    held = subprocess.run(["dpkg-query", "--listfiles", *packages], capture_output=True, text=True, check=True).stdout
    names = {Path(line).name for line in held.splitlines() if ".so." in line}
    linked = subprocess.run(["ldd", programs.path("envelope-join")], capture_output=True, text=True, check=True).stdout
    for library in ("librdkafka.so", "libavro.so", "liblmdb.so", "libsodium.so", "libmicrohttpd.so", "libc.so"):
        assert library in linked and any(name.startswith(library) for name in names), library
    assert not [p for p in packages if p.endswith("-dev")]

    (tmp_path / "text").write_text("no program")
    refused = programs.run(ROOT / "deploy/runtime-packages", tmp_path / "text", status=None)
    assert refused.status != 0 and refused.stdout == b""
    assert programs.run(ROOT / "deploy/runtime-packages", status=2).stdout == b""


def test_what_is_copied_into_the_image_is_there() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\w+)", DOCKERFILE, re.MULTILINE))
    copies = re.findall(r"^COPY (?:--from=(\w+) )?(\S+) \S+$", DOCKERFILE, re.MULTILINE)
    assert len(copies) == DOCKERFILE.count("\nCOPY ") and {stage for stage, _ in copies} == {"", *stages}
    left_out = (ROOT / ".dockerignore").read_text().split()
    makefile = (ROOT / "Makefile").read_text()
    (installed,) = re.findall(r"DESTDIR=(\S+) PREFIX=(\S+)", DOCKERFILE)
    for stage, source in copies:
        if stage:
            folder = source.replace("".join(installed), "$(root)")
            made = re.search(rf">{source}$", DOCKERFILE, re.MULTILINE)
            assert made or re.search(rf"install -d .*{re.escape(folder)}[ /]", makefile), source
        else:
            assert (ROOT / source).exists()
    for needed in ("Makefile", "lib", "schemas", "deploy/install-packages", "deploy/runtime-packages", "tools/avrogen"):
        assert (ROOT / needed).exists() and not any(Path("/", needed).is_relative_to(p) for p in left_out)


# The page for other teams


def test_the_page_on_clients_says_what_java_clients_set() -> None:
    page = (ROOT / "docs/clients.md").read_text()
    said = set(re.findall(r"^    (apicurio\.registry\.[a-z-]+)=true$", page, re.MULTILINE))
    example = ROOT / "examples/java/src/main/java/com/example/Lifecycle.java"
    for client in (HERE / "java/src/main/java/envelope/Client.java", example):
        set_ = set(re.findall(r'"(apicurio\.registry\.[a-z-]+)", true', client.read_text()))
        assert set_ and set_ == said, client
    for name in ("docs/clients.md", "docs/partitioners.md", "README.md", "examples/README.md"):
        for target in re.findall(r"\]\(((?!https?:)[^)#]+)", (ROOT / name).read_text()):
            assert (ROOT / target).exists() or (ROOT / "docs" / target).exists(), target


# Compose's commands, here


@pytest.fixture
def composed(kafka: Cluster, registry: Registry, prefix: str, programs: Programs, tmp_path: Path) -> Composed:
    return Composed(kafka, registry, prefix, programs, tmp_path)


class Composed:
    """The services' commands in their own environments, with other hosts, ports and folders."""

    def __init__(self, kafka: Cluster, registry: Registry, prefix: str, programs: Programs, state: Path) -> None:
        self.programs = programs
        self._registry = registry
        self._kafka = kafka
        self.prefix = prefix
        self.state = state

    def environment(self, service: str) -> dict[str, str]:
        values = environment(service)
        values["ENVELOPE_BOOTSTRAP"] = self._kafka.bootstrap
        path = urllib.parse.urlsplit(values["ENVELOPE_SCHEMA_REGISTRY"]).path
        values["ENVELOPE_SCHEMA_REGISTRY"] = urllib.parse.urljoin(self._registry.url, path)
        if "ENVELOPE_HTTP" in values:
            values["ENVELOPE_HTTP"] = "127.0.0.1:0"
            values["ENVELOPE_STATE_DIR"] = str(self.state / service)
            values["ENVELOPE_GROUP"] = self.prefix + service
        values["ENVELOPE_TOPIC_PREFIX"] = self.prefix
        values["PATH"] = f"{self.programs.folder}:{os.environ['PATH']}"
        return values

    def words(self, service: str) -> list[str]:
        given = SERVICES[service]["command"]
        return shlex.split(given) if isinstance(given, str) else list(given)


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_the_registrys_healthcheck_is_answered(registry: Registry) -> None:
    *curl, url = shlex.split(SERVICES["registry"]["healthcheck"]["test"])
    asked = urllib.parse.urlsplit(url)
    ours = urllib.parse.urlsplit(environment("join")["ENVELOPE_SCHEMA_REGISTRY"])
    assert curl[0] == "curl" and asked.port == ours.port
    assert get(urllib.parse.urljoin(registry.url, asked.path))[0] == 200


EXAMPLE = b"".join(
    json.dumps(json.loads((ROOT / f"schemas/examples/{phase}.json").read_text())).encode() + b"\n"
    for phase in ("admission", "resolved", "finalized")
)


def test_composes_commands_run(composed: Composed) -> None:
    programs = composed.programs
    shell, *rest = composed.words("setup")
    made = programs.run(Path("/bin", shell), *rest, env=composed.environment("setup"), deadline_s=60)
    said = made.stdout.decode()
    assert made.noise == [] and all(composed.prefix + topic["name"] in said for topic in TOPICS)

    running = {}
    for name in PROCESSORS:
        program, *options = composed.words(name)
        running[name] = programs.start(program, *options, env=composed.environment(name))
    for name, program in running.items():
        served = program.wait_log(lambda line: line["message"].startswith("serves "), "where it serves")
        base = f"http://127.0.0.1:{served['port']}"
        wait_until(lambda: get(f"{base}/readyz")[0] == 200, 30, f"{name} to be ready")  # noqa: B023
        status, text = get(f"{base}/metrics")
        assert status == 200 and "# TYPE envelope_" in text

    # What the file's head says to type, by the service for one-off commands.
    emit, show = re.findall(r"^#   docker compose run --rm (?:-T )?ctl (\S+.*)$", COMPOSE_TEXT, re.MULTILINE)
    assert emit.endswith(" < events.jsonl") and show.endswith(" ENVELOPE_ID")
    asked = composed.environment("ctl")
    programs.run(emit.split()[0], stdin=EXAMPLE, env=asked)
    words = [*show.split()[:-1], json.loads(EXAMPLE.splitlines()[0])["envelope_id"]]

    def is_told() -> bool:
        shown = programs.run(*words, env=asked, status=None)
        return shown.status == 0 and b"narrowed" in shown.stdout

    wait_until(is_told, 30, "the example to be joined", 0.2)

    grace_s = float(re.fullmatch(r"(\d+)s", SERVICES["join"]["stop_grace_period"])[1])
    for program in running.values():
        program.signal(signal.SIGTERM)
    for name, program in running.items():
        result = program.wait(grace_s)
        assert (result.status, result.noise) == (0, []), name
        assert list((composed.state / name).iterdir()), "its state is in the volume"
