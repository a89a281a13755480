"""The control interface of wpa_supplicant, without its socket: a command in, a reply out.

The text is that of wpa_supplicant 2.10 for a wired port, so that its `wpa_cli` works unmodified.
A reply is one datagram and must not begin with `<`: that is how an unsolicited event begins,
`<3>CTRL-EVENT-...`, which goes to every client that sent ATTACH. Commands about wireless networks
get the reply of a port that has none.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from eapol import method_options, report
from eapol.errors import EapolError
from eapol.events import (
    Disconnect,
    Logoff,
    Logon,
    Reauthenticate,
    Reconnect,
    Request,
    SetPortControl,
    SetTimer,
    Terminate,
    TimerName,
)
from eapol.listeners import Address, Listeners
from eapol.notices import Notice, printable
from eapol.options import number_of, option, with_option
from eapol.settings import Network
from eapol.status import PortControl, Status
from wire.secret import Secret

LONGEST: Final = 4096
"""A command of more octets is dropped without a reply, as wpa_supplicant does."""

OK, FAIL, UNKNOWN = "OK\n", "FAIL\n", "UNKNOWN COMMAND\n"
GET_REFUSAL: Final = "GET refusal"
"""Differs: wpa_supplicant has no words for its FAIL but in its log."""

_LONGEST_WORD: Final = 32
_log = logging.getLogger("eapol")


class Supervised(Protocol):
    """What the interface controls: the supplicant of one port. Every call returns at once."""

    @property
    def interface(self) -> str: ...

    @property
    def address(self) -> bytes:
        """The port's MAC address, 6 octets."""
        ...

    @property
    def network(self) -> Network: ...

    def status(self) -> Status: ...

    def request(self, request: Request) -> None:
        """Raises EapolError when it cannot be taken."""
        ...

    def use(self, network: Network) -> None:
        """Begin anew with `network`. Raises EapolError, and goes on as before."""
        ...

    def reconfigure(self) -> None:
        """Read the configuration again. Raises EapolError, and goes on as before."""
        ...

    def passphrase(self, secret: Secret) -> None:
        """The passphrase of the private key, which was asked for. Raises EapolError."""
        ...

    def listen(self, tell: Callable[[Notice], None]) -> Callable[[], None]:
        """Have `tell` called with each notice; what is returned ends that."""
        ...


class Interpreter:
    """Answers commands. `ip_address` looks up the interface's address of the moment."""

    def __init__(self, supervised: Supervised, ip_address: Callable[[], str | None]) -> None:
        self.listeners = Listeners()
        self._supervised = supervised
        self._ip_address = ip_address
        self._draft: Network | None = None
        """What SET_NETWORK changed, until something uses it: half a change must not be used."""
        self._refusal = ""
        """Why FAIL was the last answer, for GET REFUSAL; empty if there is none."""

    def answer(self, command: bytes, sender: Address) -> bytes | None:
        """The reply to `command`; None for no reply."""
        if len(command) > LONGEST:
            return None
        text = command.decode("utf-8", "surrogateescape").rstrip("\n\0")
        if text == GET_REFUSAL:
            return (self._refusal or FAIL).encode("utf-8", "surrogateescape")
        self._refusal = ""
        try:
            reply = self._reply(text, sender)
        except EapolError as error:
            self._refusal = printable(str(error))
            _log.error("control interface: %s: %s", name_of(command), self._refusal)
            reply = FAIL
        return reply.encode("utf-8", "surrogateescape")

    def _reply(self, text: str, sender: Address) -> str:
        """Raises: EapolError; the answer is FAIL then."""
        word, _, rest = text.partition(" ")
        if text.startswith("CTRL-RSP-"):
            return self._response(text.removeprefix("CTRL-RSP-"))
        if word in _OF_LISTENERS:
            return _OF_LISTENERS[word](self, sender, rest)
        if word in _REQUESTS:
            return self._request(_REQUESTS[word])
        if word in _BEGINNINGS:
            return self._begin(_BEGINNINGS[word])
        if word in _COMMANDS:
            return _COMMANDS[word](self, rest)
        return _FIXED.get(word, UNKNOWN)

    # Who listens

    def _attach(self, sender: Address, _: str) -> str:
        return OK if self.listeners.attach(sender) else FAIL

    def _detach(self, sender: Address, _: str) -> str:
        return OK if self.listeners.detach(sender) else FAIL

    def _level(self, sender: Address, value: str) -> str:
        level = number_of(value, "level", 0, 9)
        return OK if self.listeners.set_level(sender, level) else FAIL

    # What is asked

    def _status(self, rest: str) -> str:
        port, verbose = self._supervised, rest == "verbose"
        return report.status(
            port.status(), port.network, port.address, self._ip_address(), verbose=verbose
        )

    def _status_verbose(self, _: str) -> str:
        return self._status("verbose")

    def _mib(self, _: str) -> str:
        return report.mib(self._supervised.status())

    def _list_networks(self, _: str) -> str:
        flags = "[DISABLED]" if self._network.disabled else "[CURRENT]"
        return f"network id / ssid / bssid / flags\n0\t\tany\t{flags}\n"

    def _ifname(self, _: str) -> str:
        return self._supervised.interface

    def _interfaces(self, _: str) -> str:
        return f"{self._supervised.interface}\n"

    def _get(self, name: str) -> str:
        return "mgusec" if name == "version" else FAIL

    def _get_capability(self, name: str) -> str:
        eap = " ".join(method_options.KNOWN)
        known = {"eap": eap, "key_mgmt": "NONE IEEE8021X", "pairwise": "NONE", "group": "NONE"}
        return known.get(name.partition(" ")[0], FAIL)

    # What is done

    def _request(self, request: Request) -> str:
        self._supervised.request(request)
        return OK

    def _begin(self, request: Request) -> str:
        """With the changed network, if there is one."""
        return self._request(request) if self._draft is None else self._use_draft()

    def _reconfigure(self, _: str) -> str:
        self._draft = None
        self._supervised.reconfigure()
        return OK

    def _set(self, rest: str) -> str:
        name, _, value = rest.partition(" ")
        kind, _, variable = name.partition("::")
        if kind != "EAPOL":
            return FAIL
        try:
            if variable == "portControl":
                return self._request(SetPortControl(control=PortControl(value)))
            timer = TimerName(variable)
        except ValueError:
            return FAIL
        return self._request(SetTimer(name=timer, value=number_of(value, variable, 0, 65535)))

    # The network

    @property
    def _network(self) -> Network:
        return self._supervised.network if self._draft is None else self._draft

    def _set_network(self, rest: str) -> str:
        number, name, value = (*rest.split(" ", 2), "", "")[:3]
        if number != "0":
            return FAIL
        self._draft = with_option(self._network, name, value)
        return OK

    def _get_network(self, rest: str) -> str:
        number, _, name = rest.partition(" ")
        value = option(self._network, name) if number == "0" else None
        return FAIL if value is None else value

    def _enable_network(self, rest: str) -> str:
        return self._switch_network(rest, disabled=False)

    def _disable_network(self, rest: str) -> str:
        return self._switch_network(rest, disabled=True)

    def _switch_network(self, number: str, *, disabled: bool) -> str:
        if number not in ("0", "all", "any"):
            return FAIL
        self._draft = replace(self._network, disabled=disabled)
        return self._use_draft()

    def _use_draft(self) -> str:
        draft, self._draft = self._draft, None
        assert draft is not None
        self._supervised.use(draft)
        return OK

    def _response(self, rest: str) -> str:
        """`FIELD-0:text`: what a CTRL-REQ-FIELD event asked for."""
        head, colon, value = rest.partition(":")
        field, _, number = head.rpartition("-")
        if not colon or number != "0":
            return FAIL
        octets = value.encode("utf-8", "surrogateescape")
        if field == "PASSPHRASE":
            self._supervised.passphrase(Secret(octets))
            return OK
        if field == "IDENTITY":
            self._draft = replace(self._network, identity=octets)
            return self._use_draft()
        return FAIL

    # The log

    def _log_level(self, rest: str) -> str:
        if not rest:
            return f"Current level: {_log_level_name()}\nTimestamp: 0\n"
        level = _LOG_LEVELS.get(rest.partition(" ")[0].upper())
        if level is None:
            return FAIL
        _log.setLevel(level)
        return OK

    def _note(self, text: str) -> str:
        _log.info("note: %r", text)
        return OK


def name_of(command: bytes) -> str:
    """The first word of a command, for a log: what follows may be a secret."""
    word = command.decode("utf-8", "replace").partition(" ")[0].partition(":")[0]
    return printable(word[:_LONGEST_WORD])


_LOG_LEVELS: Final = {
    "EXCESSIVE": logging.DEBUG,
    "MSGDUMP": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
}


def _log_level_name() -> str:
    level = _log.getEffectiveLevel()
    named = [name for name, number in _LOG_LEVELS.items() if number <= level]
    return named[-1] if named else "EXCESSIVE"


_OF_LISTENERS: Final[Mapping[str, Callable[[Interpreter, Address, str], str]]] = {
    "ATTACH": Interpreter._attach,
    "DETACH": Interpreter._detach,
    "LEVEL": Interpreter._level,
}

_REQUESTS: Final[Mapping[str, Request]] = {
    "LOGOFF": Logoff(),
    "LOGON": Logon(),
    "DISCONNECT": Disconnect(),
    "TERMINATE": Terminate(),
}

_BEGINNINGS: Final[Mapping[str, Request]] = {
    "REAUTHENTICATE": Reauthenticate(),
    "RECONNECT": Reconnect(),
    "REASSOCIATE": Reconnect(),
    "REATTACH": Reconnect(),
}

_COMMANDS: Final[Mapping[str, Callable[[Interpreter, str], str]]] = {
    "STATUS": Interpreter._status,
    "STATUS-VERBOSE": Interpreter._status_verbose,
    "MIB": Interpreter._mib,
    "LIST_NETWORKS": Interpreter._list_networks,
    "IFNAME": Interpreter._ifname,
    "INTERFACES": Interpreter._interfaces,
    "GET": Interpreter._get,
    "GET_CAPABILITY": Interpreter._get_capability,
    "RECONFIGURE": Interpreter._reconfigure,
    "SET": Interpreter._set,
    "SET_NETWORK": Interpreter._set_network,
    "GET_NETWORK": Interpreter._get_network,
    "SELECT_NETWORK": Interpreter._enable_network,
    "ENABLE_NETWORK": Interpreter._enable_network,
    "DISABLE_NETWORK": Interpreter._disable_network,
    "LOG_LEVEL": Interpreter._log_level,
    "NOTE": Interpreter._note,
}

_FIXED: Final = {
    "PING": "PONG\n",
    "RELOG": OK,
    "SCAN": OK,
    "SAVE_CONFIG": FAIL,  # Differs: the file is the administrator's, and net8021x's
    "ADD_NETWORK": FAIL,  # there is one network, number 0
    "REMOVE_NETWORK": FAIL,
    "SIGNAL_POLL": FAIL,
    "STA-FIRST": FAIL,
    "BSS": "",
    "BLACKLIST": "",
    "BSSID_IGNORE": "",
    "DRIVER_FLAGS": "0000000000000010:\nWIRED\n",
    "LIST_CREDS": "cred id / realm / username / domain / imsi\n",
    "SCAN_RESULTS": "bssid / frequency / signal level / flags / ssid\n",
    "PMKSA": "Index / AA / PMKID / expiration (in seconds) / opportunistic\n",
}
