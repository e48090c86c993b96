"""A certificate authority for one test run, so that clients can verify servers in full."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from tests.support.neon.proxy import Certificate, Certificates
from tests.support.neon.stand_in import HOST
from tests.support.servers.process import Account

SERVER_NAMES = ("127.0.0.1", "localhost", HOST)
_FIRST = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Authority:
    """A private CA. `root_cert` is its certificate, as a PEM file that every user can read."""

    ca: trustme.CA
    root_cert: Path

    def issue(self, account: Account, folder: Path) -> tuple[Path, Path]:
        """Issue a certificate for SERVER_NAMES into `folder`. Return the paths of certificate and private key."""
        issued = self.ca.issue_cert(*SERVER_NAMES)
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        certificate = account.write(folder / "server.crt", chain)
        key = account.write(folder / "server.key", issued.private_key_pem.bytes())
        return certificate, key

    def certificates(self, folder: Path) -> Certificates:
        """Issue the certificates that the stand-in for Neon shows to clients, into `folder`."""
        past = datetime.now(UTC) - timedelta(days=1)
        return Certificates(
            valid=_files(self.ca.issue_cert(*SERVER_NAMES), folder / "valid"),
            expired=_files(self.ca.issue_cert(*SERVER_NAMES, not_before=_FIRST, not_after=past), folder / "expired"),
            wrong_name=_files(self.ca.issue_cert("elsewhere.test"), folder / "wrong"),
            unknown_authority=_files(trustme.CA().issue_cert(*SERVER_NAMES), folder / "unknown"),
        )


def make_authority(folder: Path) -> Authority:
    """Make a new CA, and write its certificate into `folder`."""
    ca = trustme.CA()
    root_cert = folder / "ca.pem"
    root_cert.write_bytes(ca.cert_pem.bytes())
    root_cert.chmod(0o644)
    return Authority(ca, root_cert)


def _files(issued: trustme.LeafCert, name: Path) -> Certificate:
    chain, key = name.with_suffix(".crt"), name.with_suffix(".key")
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.touch(mode=0o600)
    key.write_bytes(issued.private_key_pem.bytes())
    return Certificate(chain, key)
