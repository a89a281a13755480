"""The TLS engine of EAP-TLS on pyOpenSSL; certificates and keys are `eapol.openssl`'s.

pyOpenSSL rather than `ssl`, because it alone has the exporter (MSK), a callback for each
certificate (names are matched before our certificate leaves), CRLs, and verification at a chosen
date. `OpenSSL._util` is touched in one place here, `_Library`, for what has no public name.

TLS draws its own random octets: there is no octet-for-octet repetition here.
"""

import hmac
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import ClassVar, Final

from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto
from OpenSSL._util import ffi as _ffi
from OpenSSL._util import lib as _lib

from eapol import openssl
from eapol.alerts import explain
from eapol.credentials import Identity, certificates, identity, revocations, weakness
from eapol.eap import EapType
from eapol.engine import Flight
from eapol.errors import CredentialError
from eapol.judge import Judge
from eapol.notices import Notice, Warned
from eapol.own import review
from eapol.refusals import Trust
from eapol.settings import Credentials, Groups, TlsPolicy, TlsVersion
from eapol.status import Review, TlsStatus
from wire import x509
from wire.cursor import DecodeError
from wire.x509 import Certificate

KeyLog = Callable[[bytes], None]
"""Takes one line of the NSS key log format, without its end of line."""

_PROTOCOLS: Final = {
    TlsVersion.TLS_1_0: SSL.TLS1_VERSION,
    TlsVersion.TLS_1_1: SSL.TLS1_1_VERSION,
    TlsVersion.TLS_1_2: SSL.TLS1_2_VERSION,
    TlsVersion.TLS_1_3: SSL.TLS1_3_VERSION,
}
_NEVER: Final = "!aNULL:!eNULL"
"""Suites in which the server shows no certificate, or nothing is encrypted: `ALL` with security
level 0 has the first, and neither ca_cert nor a name would be checked (RFC 5216, 2.4, and RFC 5281,
14.1 forbid them)."""

_CLASSIC_GROUPS: Final = b"X25519:P-256:P-384:P-521"


class _Library:
    """What pyOpenSSL does not name: four calls into the OpenSSL below it."""

    @staticmethod
    def judge_at(connection: SSL.Connection, date: datetime) -> None:
        """Not X509Store.set_time: that sets the date of a store once, and never again."""
        parameters = _lib.SSL_get0_param(connection._ssl)
        _lib.X509_VERIFY_PARAM_set_time(parameters, int(date.timestamp()))

    @staticmethod
    def offer_classic_groups(context: SSL.Context, connection: SSL.Connection) -> None:
        """Without ML-KEM, whose share makes a ClientHello of 1500 octets (two EAP packets)."""
        if hasattr(_lib, "SSL_set1_curves_list"):
            _lib.SSL_set1_curves_list(connection._ssl, _CLASSIC_GROUPS)
        else:  # cryptography before 47: one group has to do
            context.set_tmp_ecdh(ec.SECP256R1())

    @staticmethod
    def offer_groups(connection: SSL.Connection, names: str) -> bool:
        """Whether OpenSSL has them, `P-256:X25519`, and now offers these only."""
        offer = getattr(_lib, "SSL_set1_curves_list", None)  # since cryptography 47
        return offer is not None and bool(offer(connection._ssl, names.encode("ascii", "replace")))

    @staticmethod
    def resumed(connection: SSL.Connection) -> bool:
        return bool(_lib.SSL_session_reused(connection._ssl))

    @staticmethod
    def verify_error(number: int) -> str:
        text: bytes = _ffi.string(_lib.X509_verify_cert_error_string(number))
        # OpenSSL 4 goes on "... or the system clock is incorrect"; users search for the old text
        return text.decode("ascii", "replace").partition(" or the system clock")[0]


class Connection:
    """One TLS connection over memory, of either side (`eapol.engine.TlsConnection`)."""

    def __init__(
        self,
        connection: SSL.Connection,
        judge: Judge,
        ended: Callable[[SSL.Connection, bool], None],
        *,
        is_client: bool,
    ) -> None:
        self._tls = connection
        self._is_client = is_client
        self._judge = judge
        self._ended: Callable[[SSL.Connection, bool], None] | None = ended
        self._data = bytearray()
        self.established = False

    @property
    def status(self) -> TlsStatus | None:
        cipher = self._tls.get_cipher_name()
        if cipher is None:
            return None
        version = self._tls.get_protocol_version_name()
        return TlsStatus(version=version, cipher=cipher, resumed=_Library.resumed(self._tls))

    def step(self, records: bytes) -> Flight:
        failure: str | None = None
        if records:
            self._tls.bio_write(records)
        try:
            if not self.established:
                self._tls.do_handshake()
                self.established = True
            while True:
                self._data += self._tls.recv(4096)
        except (SSL.WantReadError, SSL.ZeroReturnError):
            pass
        except SSL.Error as error:
            failure = self._judge.refusal or explain(openssl.reason(error))
        return Flight(self._records(), failure)

    def received(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data

    def seal(self, data: bytes) -> bytes:
        self._tls.send(data)
        return self._records()

    def export(self, label: str, size: int, context: bytes | None = None) -> bytes:
        return self._tls.export_keying_material(label.encode(), size, context)

    @property
    def randoms(self) -> bytes:
        return (self._tls.client_random() or b"") + (self._tls.server_random() or b"")

    def key_expansion(self, size: int) -> bytes:
        secret, kind = self._tls.master_key() or b"", "sha256"
        if (self._tls.get_cipher_name() or "").endswith("SHA384"):
            kind = "sha384"
        seed = b"key expansion" + self.randoms[32:] + self.randoms[:32]
        made, block = b"", seed
        while len(made) < size:
            block = hmac.digest(secret, block, kind)
            made += hmac.digest(secret, block + seed, kind)
        return made[:size]

    @property
    def unique(self) -> bytes:
        ours, theirs = self._tls.get_finished(), self._tls.get_peer_finished()
        client_first = self._is_client is not _Library.resumed(self._tls)
        return (ours if client_first else theirs) or b""

    def notices(self) -> Sequence[Notice]:
        seen, self._judge.notices = self._judge.notices, []
        return seen

    def close(self, *, success: bool) -> None:
        if self._ended is not None:
            self._ended(self._tls, success and self.established)
            self._ended = None
        # or OpenSSL takes the end without close_notify, which EAP-TLS never sends, for a truncated
        # connection, and spoils its session
        self._tls.set_shutdown(SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN)

    def _records(self) -> bytes:
        records = bytearray()
        with suppress(SSL.WantReadError):
            while True:
                records += self._tls.bio_read(16384)
        return bytes(records)


class _Context:
    """What client and server contexts have in common."""

    peer: ClassVar[str]
    usage: ClassVar[str]

    def __init__(
        self,
        policy: TlsPolicy,
        own: Identity | None,
        ca: Credentials,
        keylog: KeyLog | None,
    ) -> None:
        self._policy = policy
        self._context = context = _context(policy, own)
        trusted = certificates(ca.ca, self.usage) if ca.ca is not None else []
        crls = revocations(ca.ca) if ca.ca is not None else []
        store = context.get_cert_store()
        assert store is not None
        openssl.trust(store, trusted)
        openssl.add_lists(store, crls)
        if crls:
            flags = crypto.X509StoreFlags
            store.set_flags(flags.CRL_CHECK | flags.CRL_CHECK_ALL)
        self._trusted = trusted
        self._doubted: set[Certificate] = set()
        self._trust = Trust(
            name="ca_cert" if ca.ca is None else ca.ca.name,
            crls={crl.issuer: crl for crl in crls},
        )
        if keylog is not None:
            context.set_keylog_callback(lambda _, line: keylog(line))

    def _new(self, date: datetime) -> tuple[SSL.Connection, Judge]:
        connection = SSL.Connection(self._context, None)
        _Library.judge_at(connection, date)
        judge = Judge(self.peer, self._policy, date, self._trust, self._doubted)
        connection.set_app_data(judge)
        return connection, judge


def _context(policy: TlsPolicy, own: Identity | None) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(_PROTOCOLS[policy.min_version])
    context.set_max_proto_version(_PROTOCOLS[policy.max_version])
    level = policy.security_level
    suites = f"{policy.ciphers or 'DEFAULT'}:{_NEVER}:@SECLEVEL={level}"
    try:
        context.set_cipher_list(suites.encode("ascii"))
    except (SSL.Error, UnicodeEncodeError) as error:
        raise CredentialError(
            f"openssl_ciphers={policy.ciphers}: names no cipher suite that can be used;"
            " 'openssl ciphers -v' lists them"
        ) from error
    context.set_options(SSL.OP_NO_RENEGOTIATION)
    if not policy.session_ticket:
        context.set_options(SSL.OP_NO_TICKET)
    if own is not None:
        _use(context, own, policy)
    return context


def _use(context: SSL.Context, own: Identity, policy: TlsPolicy) -> None:
    try:
        own.key.show(context, own.certificate, own.chain)
    except SSL.Error as error:
        weak = weakness(own.certificate)
        level = f'openssl_ciphers="{policy.ciphers or "DEFAULT"}@SECLEVEL=0"'
        why = f"{weak} (security level {policy.security_level}); renew it, or write {level}"
        why = why if weak else openssl.reason(error)
        raise CredentialError(f"{own.name}: OpenSSL refuses this certificate: {why}") from error


def _judged(connection: SSL.Connection, shown: crypto.X509, error: int, depth: int, _: int) -> bool:
    judge = connection.get_app_data()
    assert isinstance(judge, Judge)
    try:
        certificate = openssl.shown(shown)
    except DecodeError as reason:
        return judge.undecodable(depth, reason)
    return judge.accepts(certificate, depth, error, _Library.verify_error(error))


@dataclass(frozen=True, slots=True)
class _Session:
    """A session to resume, and the certificate that its server showed."""

    session: SSL.Session
    server: Certificate | None


class ClientContext(_Context):
    """The peer's side. Keeps the last session of each method, to resume it (`fast_reauth`).

    `warnings` are for people, once: what is weaker than it should be.
    """

    peer = "server"
    usage = x509.SERVER_AUTH

    def __init__(
        self, policy: TlsPolicy, credentials: Credentials, keylog: KeyLog | None = None
    ) -> None:
        own = identity(credentials)
        super().__init__(policy, own, credentials, keylog)
        within = credentials.inner
        self.inner = None if within is None else ClientContext(*within, keylog)
        self._verifies = bool(self._trusted) or policy.server_sha256 is not None
        if policy.names_wanted and not self._verifies:
            raise CredentialError(
                f"{policy.names_wanted[0]} without a CA checks nothing; set ca_cert as well"
            )
        self._sessions: dict[EapType, _Session] = {}
        self._no_more: set[EapType] = set()
        """Methods of which a resumed session came to a bad end: some servers end it too early."""
        self._own = own
        self.warnings = tuple(self._doubts(policy))
        self._context.set_verify(SSL.VERIFY_PEER if self._verifies else SSL.VERIFY_NONE, _judged)
        self._context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        if policy.curves is not None:
            self._offer(SSL.Connection(self._context, None), policy.curves)  # or refused now

    def connection(self, date: datetime, method: EapType = EapType.TLS) -> Connection:
        tls, judge = self._new(date)
        if self._policy.curves is not None:
            self._offer(tls, self._policy.curves)
        elif self._policy.groups is Groups.CLASSIC:
            _Library.offer_classic_groups(self._context, tls)
        if method == EapType.FAST:
            tls.set_options(SSL.OP_NO_TLSv1_3)
        session = self._sessions.get(method) if method != EapType.FAST else None
        if session is not None and self._may_resume(session, date):
            tls.set_session(session.session)
        tls.set_connect_state()
        return Connection(tls, judge, partial(self._ended, method), is_client=True)

    @staticmethod
    def _offer(tls: SSL.Connection, curves: str) -> None:
        if not _Library.offer_groups(tls, curves):
            raise CredentialError(
                f"openssl_ecdh_curves={curves}: OpenSSL does not have all of these groups;"
                " write P-256:P-384, for example"
            )

    def _may_resume(self, session: "_Session", date: datetime) -> bool:
        """A resumed session brings no certificate: the one it stands for must still be valid."""
        server = session.server
        if server is None or not self._policy.check_time:
            return True
        begin, end = server.begin, server.end
        return begin is not None and end is not None and begin <= date <= end

    def _ended(self, method: EapType, tls: SSL.Connection, success: bool) -> None:
        before = self._sessions.pop(method, None)
        if not success and _Library.resumed(tls):
            self._no_more.add(method)
        keeps = success and self._policy.resume and method not in self._no_more
        session = tls.get_session() if keeps else None
        if session is not None:
            shown = tls.get_peer_certificate()
            earlier = None if before is None else before.server
            server = earlier if shown is None else openssl.shown(shown)
            self._sessions[method] = _Session(session, server)

    def review(self, date: datetime) -> Review:
        return Review() if self._own is None else review(self._own, self._trusted, date)

    def _doubts(self, policy: TlsPolicy) -> list[Warned]:
        doubts = []
        if not self._verifies:
            doubts.append("no ca_cert is configured: any server is trusted")
        elif self.inner is not None and not self.inner._verifies:
            doubts.append("no ca_cert2 is configured: any server is trusted inside the tunnel")
        if not policy.check_time:
            doubts.append("tls_disable_time_checks=1: expired certificates are accepted")
        return [Warned(doubt) for doubt in doubts]


class ServerContext(_Context):
    """The authenticator's side. With `demand` a client must show a certificate of `credentials.ca`;
    without it none is asked for."""

    peer = "client"
    usage = x509.CLIENT_AUTH

    def __init__(
        self,
        policy: TlsPolicy,
        credentials: Credentials,
        keylog: KeyLog | None = None,
        *,
        demand: bool = True,
    ) -> None:
        own = identity(credentials)
        if own is None:
            raise CredentialError("an EAP-TLS server needs a certificate and a key")
        policy = replace(policy, session_ticket=True)  # or each TLS 1.3 client fills our memory
        super().__init__(policy, own, credentials, keylog)
        mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        self._context.set_verify(mode if demand else SSL.VERIFY_NONE, _judged)
        self._context.set_session_id(b"eapol")
        cached = SSL.SESS_CACHE_SERVER if policy.resume else SSL.SESS_CACHE_OFF
        self._context.set_session_cache_mode(cached)
        for certificate in self._trusted:
            openssl.add_client_ca(self._context, certificate)

    def connection(self, date: datetime, _method: EapType = EapType.TLS) -> Connection:
        tls, judge = self._new(date)
        tls.set_accept_state()
        return Connection(tls, judge, lambda _tls, _success: None, is_client=False)
