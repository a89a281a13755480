"""How a connection checks the certificates of its peer, one after the other.

OpenSSL walks the chain and asks about each certificate, root first; an answer of False ends the
handshake there, before anything of ours is sent.
"""

from datetime import datetime
from hashlib import sha256
from typing import Final

from eapol import names, refusals
from eapol.credentials import weakness
from eapol.notices import (
    CertFault,
    CertificateError,
    EapStatus,
    Notice,
    PeerAlternativeName,
    PeerCertificate,
    PeerCertificateOctets,
    Warned,
)
from eapol.refusals import UNTRUSTED, Trust, VerifyError
from eapol.settings import TlsPolicy
from wire.x509 import Certificate

_DATES: Final = (
    VerifyError.NOT_YET_VALID,
    VerifyError.EXPIRED,
    VerifyError.CRL_NOT_YET_VALID,
    VerifyError.CRL_EXPIRED,
)
_DOUBTS: Final = 16
"""Weak certificates that are named; a peer could show ever new ones."""


class Judge:
    """`whose`: the server's or the client's. `doubted`: weak certificates that were warned of
    before; grows.

    `notices` gathers what was seen; `refusal` is why, in words, once it said no.
    """

    def __init__(
        self,
        whose: str,
        policy: TlsPolicy,
        date: datetime,
        trust: Trust,
        doubted: set[Certificate],
    ) -> None:
        self._doubted = doubted
        self._whose = whose
        self._policy = policy
        self._date = date
        self._trust = trust
        self._shown: set[int] = set()
        self.notices: list[Notice] = []
        self.refusal: str | None = None

    def accepts(self, shown: Certificate, depth: int, error: int, text: str) -> bool:
        """Whether to go on with `shown`, about which OpenSSL says `error` (0: nothing wrong)."""
        self._show(shown, depth)
        if self._policy.server_sha256 is not None:
            return depth > 0 or (self._pinned(shown) and self._named(shown))
        if error and not self._excused(error, shown, depth):
            more = refusals.verification(error, shown, self._policy, self._trust, self._date)
            return self._refuse(_fault(error), shown, depth, text, more)
        self._doubt(shown)
        return depth > 0 or self._named(shown)

    def _named(self, shown: Certificate) -> bool:
        if (wrong := names.mismatch(shown, self._policy)) is not None:
            more = refusals.wrong_name(wrong[0], shown, self._policy)
            return self._refuse(wrong[0], shown, 0, wrong[1], more)
        self.notices.append(EapStatus("remote certificate verification", "success"))
        return True

    def undecodable(self, depth: int, reason: Exception) -> bool:
        """No: what was shown is not a certificate."""
        text = f"the certificate cannot be decoded: {reason}"
        self.notices.append(CertificateError(CertFault.BAD_CERTIFICATE, depth, "", text))
        self.refusal = f"the {self._whose}'s certificate was refused: {text}"
        return False

    def _excused(self, error: int, shown: Certificate, depth: int) -> bool:
        if error in _DATES:
            return not self._policy.check_time
        # a chain of CAs of which only the lowest publishes a CRL is usual; a server whose own
        # issuer's CRL is missing is not
        return error == VerifyError.NO_CRL and depth > 0 and self._trust.crl_of(shown) is None

    def _doubt(self, shown: Certificate) -> None:
        """Weak certificates are accepted, and named once."""
        weak = weakness(shown)
        if weak is None or shown in self._doubted or len(self._doubted) >= _DOUBTS:
            return
        self._doubted.add(shown)
        subject = names.one_line(shown.subject)
        self.notices.append(Warned(f"the {self._whose}'s certificate {subject} is weak: {weak}"))

    def _pinned(self, shown: Certificate) -> bool:
        found = sha256(shown.der).digest()
        if found == self._policy.server_sha256:
            return True
        more = refusals.other_pin(found, self._policy)
        return self._refuse(CertFault.UNSPECIFIED, shown, 0, "Server certificate mismatch", more)

    def _refuse(
        self, fault: CertFault, shown: Certificate, depth: int, error: str, more: str
    ) -> bool:
        """`error` is what wpa_supplicant says, `more` what people need beyond it."""
        subject = names.one_line(shown.subject)
        self.notices.append(CertificateError(fault, depth, subject, error))
        self.notices.append(EapStatus("remote certificate verification", error))
        said = f"{error}; {more}" if more else error
        self.refusal = f"the {self._whose}'s certificate {subject} was refused: {said}"
        return False

    def _show(self, shown: Certificate, depth: int) -> None:
        if depth in self._shown:
            return
        self._shown.add(depth)
        subject, der = names.one_line(shown.subject), shown.der
        self.notices.append(PeerCertificate(depth, subject, sha256(der).hexdigest()))
        self.notices.append(PeerCertificateOctets(depth, subject, der))
        for name in names.alternative_names(shown) if depth == 0 else ():
            self.notices.append(PeerAlternativeName(depth, name))


def _fault(error: int) -> CertFault:
    if error in (VerifyError.NOT_YET_VALID, VerifyError.CRL_NOT_YET_VALID):
        return CertFault.NOT_YET_VALID
    if error in (VerifyError.EXPIRED, VerifyError.CRL_EXPIRED):
        return CertFault.EXPIRED
    if error in UNTRUSTED:
        return CertFault.UNTRUSTED
    return CertFault.REVOKED if error == VerifyError.REVOKED else CertFault.UNSPECIFIED
