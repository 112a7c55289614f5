# SPDX-License-Identifier: Apache-2.0
"""Throw-away certificates for tests of TLS, made with the openssl command."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """PEM files: an authority, a server's pair for 127.0.0.1 and localhost, a client's pair."""

    ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path


def make_certificates(directory: Path) -> Certificates:
    """Makes an authority of its own: two calls trust each other in nothing."""
    directory.mkdir(parents=True, exist_ok=True)
    # what a strict verifier asks for
    key_ids = ["subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"]
    leaf = [*key_ids, "basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"]
    authority = [*key_ids, "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"]
    _make(directory, "ca", "test authority", authority)
    _make(directory, "server", "localhost", [*leaf, "subjectAltName=DNS:localhost,IP:127.0.0.1"], signer="ca")
    _make(directory, "client", "test client", [*leaf, "extendedKeyUsage=clientAuth"], signer="ca")
    return Certificates(
        directory / "ca.pem",
        directory / "server.pem",
        directory / "server.key",
        directory / "client.pem",
        directory / "client.key",
    )


def _make(directory: Path, name: str, common_name: str, extensions: list[str], signer: str | None = None) -> None:
    command = [
        "openssl", "req", "-x509", "-config", "/dev/null", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", f"/CN={common_name}", "-keyout", f"{name}.key", "-out", f"{name}.pem",
        *(argument for extension in extensions for argument in ("-addext", extension)),
    ]  # fmt: skip
    if signer is not None:
        command += ["-CA", f"{signer}.pem", "-CAkey", f"{signer}.key"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"openssl (3.0 or later is wanted) made no certificate {name}: {done.stderr}")
