"""Files of the keying daemon: racoon.conf and psk.txt."""

from contextlib import suppress

from ike.conf import psk
from ike.conf.errors import ConfError
from ike.conf.syntax import GRAMMAR
from wire.source import Source


def racoon_conf(data: bytes) -> None:
    with suppress(ConfError):
        GRAMMAR.parse(Source("racoon.conf", data.decode("utf-8", "replace")))


def psk_txt(data: bytes) -> None:
    with suppress(ConfError):
        psk.parse("psk.txt", data)


TARGETS = {"racoon_conf": racoon_conf, "psk_txt": psk_txt}
