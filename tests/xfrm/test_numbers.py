"""The numbers of linux/xfrm.h, netlink.h and pfkeyv2.h, as the headers of Linux 6.1 have them."""

import errno

import pytest

from wire.secret import Secret
from xfrm import pfkey
from xfrm.algorithms import NOT_IN_LINUX, TABLE, Kind
from xfrm.dataplane import AlreadyThere, NoSuchEntry, Unsupported, XfrmError
from xfrm.esp.transform import NO_CIPHER
from xfrm.model import Action, Algorithm, Direction, Mode, Protocol
from xfrm.netlink import frames, wire
from xfrm.netlink.attributes import Attribute
from xfrm.netlink.frames import Acknowledgement
from xfrm.netlink.messages import Group, MessageType
from xfrm.netlink.refusals import no_socket, refusal

# enum xfrm_attr_type_t and xfrm_msg_type, in the header's order
ATTRIBUTES = """
    ALG_AUTH ALG_CRYPT ALG_COMP ENCAP TMPL SA POLICY SEC_CTX LTIME_VAL REPLAY_VAL REPLAY_THRESH
    ETIMER_THRESH SRCADDR COADDR LASTUSED POLICY_TYPE MIGRATE ALG_AEAD KMADDRESS ALG_AUTH_TRUNC MARK
    TFCPAD REPLAY_ESN_VAL SA_EXTRA_FLAGS PROTO ADDRESS_FILTER PAD OFFLOAD_DEV SET_MARK SET_MARK_MASK
    IF_ID MTIMER_THRESH SA_DIR NAT_KEEPALIVE_INTERVAL
"""
MESSAGES = """
    NEWSA DELSA GETSA NEWPOLICY DELPOLICY GETPOLICY ALLOCSPI ACQUIRE EXPIRE UPDPOLICY UPDSA
    POLEXPIRE FLUSHSA FLUSHPOLICY NEWAE GETAE REPORT MIGRATE NEWSADINFO GETSADINFO NEWSPDINFO
    GETSPDINFO MAPPING SETDEFAULT GETDEFAULT
"""


def test_attributes_and_messages_have_the_kernels_numbers() -> None:
    assert {each.name: each.value for each in Attribute} == {
        name: number for number, name in enumerate(ATTRIBUTES.split(), 1)
    }
    assert {each.name: each.value for each in MessageType} == {
        name: number for number, name in enumerate(MESSAGES.split(), 0x10)
    }
    groups = {"ACQUIRE": 1, "EXPIRE": 2, "SA": 3, "POLICY": 4, "MAPPING": 8}
    assert {each.name: each.value for each in Group} == groups


def test_flags_and_families_have_the_kernels_numbers() -> None:
    assert (wire.AF_UNSPEC, wire.AF_INET, wire.AF_INET6) == (0, 2, 10)
    assert (wire.STATE_AF_UNSPEC, wire.STATE_ALIGN4, wire.STATE_ESN) == (32, 64, 128)
    assert (wire.UDP_ENCAP_ESPINUDP, wire.INFINITE) == (2, 0xFFFF_FFFF_FFFF_FFFF)
    assert (frames.NLMSG_ERROR, frames.NLMSG_DONE, frames.NETLINK_XFRM) == (2, 3, 6)
    assert (frames.NLM_F_REQUEST, frames.NLM_F_MULTI, frames.NLM_F_ACK) == (1, 2, 4)
    assert (frames.NLM_F_DUMP_INTR, frames.NLM_F_DUMP) == (0x10, 0x300)
    assert (frames.NLM_F_CAPPED, frames.NLM_F_ACK_TLVS) == (0x100, 0x200)
    never = wire.LifetimeCfg()
    assert never == (*4 * [wire.INFINITE], *4 * [0])  # bytes and packets without limit, no seconds


def test_the_model_has_the_kernels_numbers() -> None:
    assert {each.name: each.value for each in Protocol} == {"ESP": 50, "AH": 51, "IPCOMP": 108}
    assert (Mode.TRANSPORT, Mode.TUNNEL) == (0, 1)
    assert (Direction.IN, Direction.OUT, Direction.FWD) == (0, 1, 2)
    assert (Direction.SOCKET_IN, Direction.SOCKET_OUT) == (3, 4)
    assert (Action.ALLOW, Action.BLOCK) == (0, 1)


def test_pf_keys_numbers_are_those_of_rfc_2367_and_linux() -> None:
    assert (pfkey.PF_KEY_V2, pfkey.SADB_DUMP) == (2, 10)
    assert {each.name: each.value for each in pfkey.State} == {
        "LARVAL": 0, "MATURE": 1, "DYING": 2, "DEAD": 3,
    }  # fmt: skip
    assert {each.name: each.value for each in pfkey.Extension} == {
        "SA": 1, "LIFETIME_CURRENT": 2, "LIFETIME_HARD": 3, "LIFETIME_SOFT": 4, "ADDRESS_SRC": 5,
        "ADDRESS_DST": 6, "ADDRESS_PROXY": 7, "KEY_AUTH": 8, "KEY_ENCRYPT": 9, "SA2": 19,
        "NAT_T_TYPE": 20, "NAT_T_SPORT": 21, "NAT_T_DPORT": 22,
    }  # fmt: skip


# Name in Linux, in setkey, number of PF_KEY (linux/pfkeyv2.h), bits of a key, of the check value
ALGORITHMS = """
    encryption cbc(des) des-cbc 2 64 0
    encryption cbc(des3_ede) 3des-cbc 3 192 0
    encryption cbc(cast5) cast128-cbc 6 40-128 0
    encryption cbc(blowfish) blowfish-cbc 7 40-448 0
    encryption ecb(cipher_null) null,simple 11 0 0
    encryption cbc(aes) aes-cbc,rijndael-cbc 12 128-256 0
    encryption rfc3686(ctr(aes)) aes-ctr 13 160-288 0
    encryption cbc(camellia) camellia-cbc 22 128-256 0
    encryption cbc(serpent) serpent-cbc 252 128-256 0
    encryption cbc(twofish) twofish-cbc 253 128-256 0
    authentication hmac(md5) hmac-md5 2 128 96
    authentication hmac(sha1) hmac-sha1 3 160 96
    authentication hmac(sha256) hmac-sha256,hmac-sha2-256 5 256 128
    authentication hmac(sha384) hmac-sha384,hmac-sha2-384 6 384 192
    authentication hmac(sha512) hmac-sha512,hmac-sha2-512 7 512 256
    authentication hmac(rmd160) hmac-ripemd160 8 160 96
    authentication xcbc(aes) aes-xcbc-mac 9 128 96
    authentication cmac(aes) aes-cmac 0 128 96
    authentication digest_null null 251 0-2048 0
    aead rfc4309(ccm(aes)) aes-ccm-8 14 152-280 64
    aead rfc4309(ccm(aes)) aes-ccm-12 15 152-280 96
    aead rfc4309(ccm(aes)) aes-ccm-16 16 152-280 128
    aead rfc4106(gcm(aes)) aes-gcm-8 18 160-288 64
    aead rfc4106(gcm(aes)) aes-gcm-12 19 160-288 96
    aead rfc4106(gcm(aes)) aes-gcm-16,aes-gcm 20 160-288 128
    aead rfc4543(gcm(aes)) aes-gmac 23 160-288 128
    aead rfc7539esp(chacha20,poly1305) chacha20-poly1305 0 288 128
    compression deflate deflate 2 0 0
    compression lzs lzs 3 0 0
    compression lzjh lzjh 4 0 0
"""


def test_each_algorithm_has_its_names_numbers_and_lengths() -> None:
    def length(bits: object) -> str:
        numbers = list(bits)  # type: ignore[call-overload]
        return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"

    found = [
        f"{row.kind.name.lower()} {row.linux} {','.join(row.setkey)} {row.pfkey} "
        f"{length(row.key_bits)} {row.icv_bits}"
        for row in TABLE
    ]
    assert found == [line.strip() for line in ALGORITHMS.strip().splitlines()]
    assert len(NOT_IN_LINUX) == 6
    assert not NOT_IN_LINUX & {name for row in TABLE for name in row.setkey}


def test_no_encryption_is_called_as_linux_calls_it() -> None:
    null = next(row for row in TABLE if row.kind is Kind.ENCRYPTION and "null" in row.setkey)
    assert null.linux == NO_CIPHER == Algorithm(name="ecb(cipher_null)", key=Secret(b"")).name


ROOT = "this needs root (CAP_NET_ADMIN)"
MODULE = (
    "this kernel has no such protocol: load its module (modprobe esp4 esp6 ah4 ah6 ipcomp)"
    " or use the userspace data path"
)


@pytest.mark.parametrize(
    ("code", "text", "kind", "said"),
    [
        (errno.EPERM, "", XfrmError, f"Operation not permitted; {ROOT}"),
        (errno.EACCES, "", XfrmError, f"Permission denied; {ROOT}"),
        (errno.EPROTONOSUPPORT, "", Unsupported, f"Protocol not supported; {MODULE}"),
        (errno.ENOPROTOOPT, "", Unsupported, f"Protocol not available; {MODULE}"),
        (
            errno.EAFNOSUPPORT, "", Unsupported,
            f"Address family not supported by protocol; {MODULE}",
        ),
        (errno.EOPNOTSUPP, "", Unsupported, f"Operation not supported; {MODULE}"),
        (
            errno.ENOSYS, "", Unsupported, "Function not implemented; load the module of that"
            " algorithm, or choose another one",
        ),
        (errno.ESRCH, "", NoSuchEntry, "No such process"),
        (errno.EEXIST, "", AlreadyThere, "File exists; delete it first, or update it"),
        (
            errno.EINVAL, "", XfrmError,
            "Invalid argument; the kernel does not say which value is wrong",
        ),
        (errno.EINVAL, "bad mode", XfrmError, "Invalid argument (bad mode)"),
        (errno.ENOMEM, "", XfrmError, "Cannot allocate memory"),
    ],
)  # fmt: skip
def test_a_refusal_is_this_sentence(code: int, text: str, kind: type[XfrmError], said: str) -> None:
    error = refusal(MessageType.NEWSA, Acknowledgement(code, text), "add it")
    assert (type(error), error.code, str(error)) == (kind, code, f"cannot add it: {said}")


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        (errno.EPROTONOSUPPORT, Unsupported, "; this kernel was built without IPsec"),
        (errno.EAFNOSUPPORT, Unsupported, "; this kernel was built without IPsec"),
        (errno.EPERM, XfrmError, f"; {ROOT}"),
        (errno.EACCES, XfrmError, f"; {ROOT}"),
        (errno.EMFILE, XfrmError, ""),
    ],
)
def test_a_socket_that_cannot_be_had_is_this_sentence(
    code: int, kind: type[XfrmError], remedy: str
) -> None:
    error = no_socket(OSError(code, "why"))
    assert (type(error), error.code) == (kind, code)
    assert str(error) == f"cannot open XFRM netlink: why{remedy}"
    assert no_socket(OSError("why")).code == 0
