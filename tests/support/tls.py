"""A PostgreSQL of a test's own that speaks TLS: at 127.0.0.1, with a certificate that it has signed itself."""

from __future__ import annotations

import datetime as dt
import shutil
import socket
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from banter_grpc.database import binaries
from banter_grpc.database.account import Account, choose

_WHO_MAY = "local all all trust\nhost all all 127.0.0.1/32 trust\n"


@contextmanager
def tls_server() -> Generator[str | None]:
    """Its URL; None where no PostgreSQL is installed that speaks TLS."""
    with tempfile.TemporaryDirectory(prefix="banter-tls-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        account = choose(folder / "none")
        account.give(folder)
        programs = next((each for each in binaries.candidates() if _make(each, folder / "data", account)), None)
        if programs is None:
            yield None
            return
        port = _free_port()
        options = f"-c ssl=on -c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
        start = ("-D", folder / "data", "-w", "-t", "30", "-l", folder / "log", "-o", options, "start")
        done = account.run(programs / "pg_ctl", *start, output=False)
        assert done.returncode == 0, (folder / "log").read_text()
        try:
            yield f"postgresql://banter@127.0.0.1:{port}/postgres"
        finally:
            account.run(programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop", output=False)


def _make(programs: Path, data: Path, account: Account) -> bool:
    """Make a cluster; whether these programs are there and speak TLS."""
    if not (programs / "initdb").exists():
        return False
    shutil.rmtree(data, ignore_errors=True)
    account.run(programs / "initdb", "-D", data, "-U", "banter", "-A", "trust", "-E", "UTF8", "--locale=C")
    if account.run(programs / "postgres", "-C", "ssl_library", "-D", data).stdout.strip() != "OpenSSL":
        return False
    _write_certificate(data)
    (data / "pg_hba.conf").write_text(_WHO_MAY)
    for name in ("server.crt", "server.key", "pg_hba.conf"):
        account.give(data / name)
    return True


def _write_certificate(folder: Path) -> None:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "server.crt").write_bytes(certificate.public_bytes(encoding))
    (folder / "server.key").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    (folder / "server.key").chmod(0o600)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
