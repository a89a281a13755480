"""What takes time and has no non-blocking form: name look-up and the NTS key exchange.

Plain blocking functions, run in a thread by either driver.
"""

import socket

from ntp.messages import ExchangeKeys, KeysAgreed, KeysRefused, Resolve, Resolved

Asked = Resolve | ExchangeKeys
Answer = Resolved | KeysAgreed | KeysRefused


def answer(command: Asked, ca: str = "") -> Answer:
    """The event that answers `command`; failures are events too.

    `ca`: a file of authorities to trust for NTS beside the system's.
    """
    match command:
        case Resolve():
            return resolve(command)
        case ExchangeKeys():
            from ntp.system.nts import exchange_keys  # late: pyOpenSSL

            return exchange_keys(command, ca)


def resolve(command: Resolve) -> Resolved:
    """The numeric addresses of a name, in the resolver's order (RFC 6724)."""
    try:
        found = socket.getaddrinfo(command.host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a host name"
        return Resolved(
            server=command.server, hosts=(), why=f"the name {command.host} has no address: {why}"
        )
    hosts = dict.fromkeys(str(address[0]) for *_, address in found)
    return Resolved(server=command.server, hosts=tuple(hosts))
