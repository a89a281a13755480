"""The options of `net8021x`: what they mean, and which of them go together."""

import argparse

from mgu.arguments import Parser
from mgu.paths import WPA_CERT_DIR, WPA_SUPPLICANT_CONF
from wire.lean import Final

SERVICE: Final = "wpa_supplicant"
ENVIRONMENT: Final = "NET8021X_PASSPHRASE"

DESCRIPTION: Final = """\
Configure the IEEE 802.1X authentication (EAP-TLS) of this gateway's port eth0."""

EPILOG: Final = f"""\
The files are checked, copied to {WPA_CERT_DIR} (the key readable by root only) and named in
{WPA_SUPPLICANT_CONF}. CLIENT may hold the certificates between the client's and the CA's, too:
the client's first, each followed by its issuer's. Dates are checked against this gateway's clock;
set it with localNTP first.

The passphrase of an encrypted key is asked for, or taken from --passphrase-file, or from the
environment variable {ENVIRONMENT}.

exit status: 0 done, 1 refused (the reason is printed, nothing was changed),
  4 no permission, 64 wrong usage

example:
  net8021x -l ./clientCert1024.pem -c ./cacert.pem -i test@test.se -p ./privateKey.pem -a
"""


def parser() -> Parser:
    made = Parser("net8021x", description=DESCRIPTION, epilog=EPILOG)
    add = made.add_argument
    add("-l", dest="client", metavar="CLIENT", help="client certificate, PEM, X.509 version 3")
    add("-c", dest="ca", metavar="CA", help="certificate of the CA (root), PEM")
    add("-i", dest="identity", metavar="IDENTITY", help="identity shown to the switch")
    add("-p", dest="key", metavar="KEY", help="private key of the client certificate, PEM")
    add("-a", dest="activate", action="store_true", help="activate: start the service at boot")
    add("-d", dest="deactivate", action="store_true", help="do not start the service at boot")
    add("--now", action="store_true", help="with -a or -d: also start or stop it now")
    add("--crl", metavar="FILE", help="CRLs (PEM) for the server's certificate")
    add("--server-name", metavar="NAME", help="the server's certificate must be for NAME")
    add("--anonymous-identity", metavar="NAME", help="outer identity, sent in the clear")
    add("--passphrase-file", metavar="FILE", help="first line: passphrase of the key")
    add("--dry-run", action="store_true", help="check only, change nothing")
    return made


def check_usage(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """What argparse cannot say: which options need which."""
    files = {"-l": options.client, "-c": options.ca, "-i": options.identity, "-p": options.key}
    missing = [name for name, value in files.items() if not value]
    if options.activate and options.deactivate:
        parser.error("-a and -d exclude each other")
    if missing and len(missing) < len(files):
        parser.error(f"{' and '.join(missing)} missing: -l, -c, -i and -p belong together")
    if missing and not (options.activate or options.deactivate):
        parser.error("give -l, -c, -i and -p, or -a, or -d")
    if options.now and not (options.activate or options.deactivate):
        parser.error("--now needs -a or -d")
