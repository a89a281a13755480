"""TLS failures in words that say what to do (RFC 8446, 6.2; the reasons are OpenSSL's)."""

from typing import Final

_ALERT: Final = "alert "

_MEANINGS: Final = {
    "unknown ca": "it does not trust the CA of our certificate; install that CA on the server,"
    " or use a certificate (with its chain in client_cert) of a CA it knows",
    "certificate expired": "our certificate has expired, or the server's clock is wrong;"
    " renew client_cert",
    "certificate revoked": "our certificate is revoked; get a new one",
    "certificate unknown": "it does not accept our certificate",
    "bad certificate": "it does not accept our certificate",
    "unsupported certificate": "our certificate is not one for client authentication",
    "certificate required": "it requires a client certificate; set client_cert and private_key",
    "protocol version": "it supports none of the TLS versions that phase1 allows",
    "insufficient security": "it requires stronger cipher suites than openssl_ciphers allows",
    "handshake failure": "no common cipher suite, or it does not accept our certificate",
    "access denied": "our certificate is valid, but is not authorised",
    "decrypt error": "a signature or Finished did not verify; certificate and key may not match",
    "internal error": "it had an internal error; see the server's log",
}

_OWN: Final = {
    "unsupported protocol": "the server supports none of the TLS versions that phase1 allows",
    "no protocols available": "phase1 allows no TLS version",
    "dh key too small": "the server's DH key is too small for the security level",
    "ee key too small": "a certificate's key is too small for the security level",
    "ca md too weak": "a certificate is signed with a hash too weak for the security level",
    "wrong version number": "what the server sent is not TLS",
}


def explain(reason: str) -> str:
    """One sentence for OpenSSL's `reason`, which names an alert if the other end sent one."""
    lowered = reason.lower()
    if _ALERT in lowered:
        name = lowered.split(_ALERT, 1)[1].removeprefix("number ")
        meaning = _MEANINGS.get(name)
        said = f"the server ended TLS with the alert '{name}'"
        return f"{said}: {meaning}" if meaning else said
    return f"TLS failed: {_OWN.get(lowered, reason)}"
