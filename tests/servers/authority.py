"""A certificate authority for one test run, so that clients can verify servers in full."""

from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.servers.process import Account

SERVER_NAMES = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Authority:
    """A private CA; `root_cert` is its certificate as a PEM file that every user can read."""

    ca: trustme.CA
    root_cert: Path

    def issue(self, account: Account, folder: Path) -> tuple[Path, Path]:
        """Issue a certificate for 127.0.0.1 and localhost; return (certificate, private key) in `folder`."""
        issued = self.ca.issue_cert(*SERVER_NAMES)
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        certificate = account.write(folder / "server.crt", chain)
        key = account.write(folder / "server.key", issued.private_key_pem.bytes())
        return certificate, key


def make_authority(folder: Path) -> Authority:
    """Make a new CA whose certificate is written into `folder`."""
    ca = trustme.CA()
    root_cert = folder / "ca.pem"
    root_cert.write_bytes(ca.cert_pem.bytes())
    root_cert.chmod(0o644)
    return Authority(ca, root_cert)
