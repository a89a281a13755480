"""FreeRADIUS as an EAP-TLS server: a raddb of its own, the user freerad, all of its log.

It listens at 127.0.0.1:1812 of its namespace, where a hostapd in the same namespace asks it.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab import require
from lab.netns import Namespace
from lab.pki import Authority, Issued
from lab.process import Process

PORT = 1812
SECRET = "switch and server"
_USER = "freerad"

_RADIUSD = """\
prefix = /usr
libdir = /usr/lib/freeradius
logdir = {folder}
run_dir = {folder}
raddbdir = {folder}
max_request_time = 30
cleanup_delay = 5
max_requests = 1024
hostname_lookups = no
log {{
    destination = stdout
    auth = yes
}}
security {{
    max_attributes = 200
    reject_delay = 0
    status_server = {status_server}
}}
client switch {{
    ipaddr = 127.0.0.1
    secret = "{secret}"
    require_message_authenticator = yes
}}
client switch6 {{
    ipv6addr = ::1
    secret = "{secret}"
    require_message_authenticator = yes
}}
{radsec}
thread pool {{
    start_servers = 2
    max_servers = 4
    min_spare_servers = 1
    max_spare_servers = 4
    max_requests_per_server = 0
}}
modules {{
    eap {{
        default_eap_type = {default_eap}
        timer_expire = 60
        max_sessions = 1024
        tls-config tls-common {{
            private_key_file = {folder}/server-key.pem
            certificate_file = {folder}/server.pem
            ca_file = {folder}/ca.pem
            check_crl = {check_crl}
            cipher_list = "DEFAULT:@SECLEVEL={security_level}"
            tls_min_version = "{min_version}"
            tls_max_version = "{max_version}"
            ecdh_curve = ""
            fragment_size = {fragment_size}
            include_length = yes
            {cache}
        }}
        tls {{
            tls = tls-common
        }}
        {methods}
    }}
    {modules}
}}
server default {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {port}
    }}
    listen {{
        type = auth
        ipv6addr = ::1
        port = {port}
    }}
    authorize {{
        {password}
        eap
    }}
    authenticate {{
        eap
        {types}
    }}
    post-auth {{
        {reply}
    }}
}}
{inner}
"""

_RADSEC = """
clients radsec {{
    client radsec {{
        ipaddr = 127.0.0.1
        proto = tls
        secret = radsec
    }}
}}
listen {{
    type = auth
    ipaddr = 127.0.0.1
    port = 2083
    proto = tcp
    virtual_server = default
    clients = radsec
    tls {{
        private_key_file = {folder}/server-key.pem
        certificate_file = {folder}/server.pem
        ca_file = {folder}/ca.pem
        require_client_cert = yes
        tls_min_version = "1.2"
        tls_max_version = "1.2"
        fragment_size = 8192
    }}
}}
"""

_METHODS = """peap {{
            tls = tls-common
            default_eap_type = {inner_eap}
            virtual_server = inner
        }}
        ttls {{
            tls = tls-common
            default_eap_type = {inner_eap}
            virtual_server = inner
        }}
        md5 {{
        }}
        gtc {{
            auth_type = PAP
        }}
        mschapv2 {{
        }}
        pwd {{
            group = 19
            server_id = radius@example.test
            fragment_size = 1020
            virtual_server = inner
        }}"""

_TEAP = """
        teap {{
            tls = tls-common
            {type}
            virtual_server = inner
            authority_identity = "1234"
            identity_types = "user"
        }}"""

_MODULES = """pap {
    }
    chap {
    }
    mschap {
        use_mppe = yes
    }"""

_PASSWORD = """update control {{
            &Cleartext-Password := "{password}"
        }}"""

_INNER = """server inner {{
    authorize {{
        {password}
        chap
        mschap
        eap
        pap
    }}
    authenticate {{
        {types}
        eap
    }}
}}"""

_TYPES = """Auth-Type PAP {
            pap
        }
        Auth-Type CHAP {
            chap
        }
        Auth-Type MS-CHAP {
            mschap
        }"""

_CACHE = """cache {{
                enable = yes
                lifetime = 24
                name = "test"
                persist_dir = "{folder}/sessions"
            }}"""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the server speaks TLS. `crl` PEM: then client certificates are checked against it.

    `reply`: attributes of an Access-Accept, `status_server`: whether it answers Status-Server,
    `radsec`: whether it listens at port 2083, too. `log` False makes it fast.
    `password`: everybody's; then the methods with passwords are there, too. `inner_eap` is proposed
    inside of a tunnel, `default_eap` outside.

    `teap`: the inner method of TEAP, or "password"; only the server of a newer Debian has it, whose
    tree `root` is (`lab.trees`).
    """

    server: Issued
    ca: Authority
    min_version: str = "1.2"
    max_version: str = "1.3"
    fragment_size: int = 1024
    security_level: int = 1
    crl: bytes | None = None
    resume: bool = False
    reply: Mapping[str, str] = field(default_factory=dict)
    status_server: bool = False
    radsec: bool = False
    log: bool = True
    password: str | None = None
    inner_eap: str = "mschapv2"
    default_eap: str = "tls"
    teap: str | None = None
    root: Path = Path("/")


@contextmanager
def freeradius(namespace: Namespace, settings: Settings) -> Iterator[Process]:
    """Runs while the block does; `Process.text` is what `radiusd -X` prints."""
    program = require.program("freeradius")
    inside = settings.root != Path("/")
    folder = Path(tempfile.mkdtemp(prefix="mgu-raddb-", dir=settings.root / "tmp"))
    try:
        _write(folder, settings)
        how = ["-X"] if settings.log else ["-f", "-l", "stdout"]
        if settings.radsec:  # wants threads
            how = ["-fxx", "-l", "stdout"]
        argv = [program, *how, "-d", f"/{folder.relative_to(settings.root)}", "-n", "radiusd"]
        if inside:
            argv = ["chroot", str(settings.root), *argv]
        elif os.geteuid() == 0:
            argv = ["setpriv", "--reuid", _USER, "--regid", _USER, "--clear-groups", "--", *argv]
        with Process(argv, namespace=namespace, name="freeradius") as process:
            process.wait_line("Ready to process requests")
            yield process
    finally:
        shutil.rmtree(folder)


def _update(reply: Mapping[str, str]) -> str:
    values = " ".join(f'\n            {name} := "{value}"' for name, value in reply.items())
    return f"update reply {{{values}\n        }}" if reply else ""


def _teap(inner: str | None) -> str:
    if inner is None:
        return ""
    kind = "" if inner == "password" else f"user_eap_type = {inner}"
    return _TEAP.format(type=kind)


def _passwords(settings: Settings) -> dict[str, str]:
    if settings.password is None:
        return {"methods": "", "modules": "", "password": "", "inner": "", "types": ""}
    password = _PASSWORD.format(password=settings.password)
    return {
        "methods": _METHODS.format(inner_eap=settings.inner_eap) + _teap(settings.teap),
        "modules": _MODULES,
        "password": password,
        "inner": _INNER.format(password=password, types=_TYPES),
        "types": _TYPES,
    }


def _write(folder: Path, settings: Settings) -> None:
    (folder / "sessions").mkdir()
    cache = _CACHE.format(folder=folder) if settings.resume else ""
    configuration = _RADIUSD.format(
        folder=folder,
        secret=SECRET,
        port=PORT,
        check_crl="no" if settings.crl is None else "yes",
        security_level=settings.security_level,
        min_version=settings.min_version,
        max_version=settings.max_version,
        fragment_size=settings.fragment_size,
        cache=cache,
        status_server="yes" if settings.status_server else "no",
        radsec=_RADSEC.format(folder=folder) if settings.radsec else "",
        reply=_update(settings.reply),
        default_eap=settings.default_eap,
        **_passwords(settings),
    )
    configuration = configuration.replace(str(folder), f"/{folder.relative_to(settings.root)}")
    (folder / "radiusd.conf").write_text(configuration)
    (folder / "server.pem").write_bytes(settings.server.certificate_pem())
    (folder / "server-key.pem").write_bytes(settings.server.key_pem())
    (folder / "ca.pem").write_bytes(settings.ca.certificate_pem() + (settings.crl or b""))
    if os.geteuid() == 0 and settings.root == Path("/"):
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, _USER, _USER)
