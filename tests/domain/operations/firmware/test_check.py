# ruff: noqa: E501 - the table of planted flaws has a line for each
"""Every flaw, planted once and absent once; components with their confidence; how much they explain."""

import base64
import zlib
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from bastide.operations.firmware.entry import Entry, Kind
from bastide.operations.firmware.flaws import FLAWS
from bastide.operations.firmware.passwords import known_password, scheme_of
from bastide.operations.firmware.rules import RULES, Rule
from tests.domain.operations.firmware.build import (
    NOW,
    checked,
    codes,
    device_tree,
    elf,
    file,
    image,
    mcuboot,
    uimage,
)

# Made with crypt(3), of a password that is no default.
MD5 = "$1$abcdef$rKZI2MemLLbExes45Hdvv."
GOOD = elf()
KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)


def pem(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = KEY,
    *,
    form: PrivateFormat = PrivateFormat.PKCS8,
    password: bytes = b"",
) -> bytes:
    return key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(password) if password else NoEncryption())


def certificate(*, days: int = 30, bits: int = 2048) -> bytes:
    key = RSA_KEY if bits == 2048 else rsa.generate_private_key(65537, bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    made = x509.CertificateBuilder(
        name, name, key.public_key(), 7, NOW - timedelta(days=400), NOW + timedelta(days=days)
    )
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def github() -> str:
    body = "abcdefghijklmnopqrstuvwxyz0123"
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    value, check = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, rest = divmod(value, 62)
        check = alphabet[rest] + check
    return f"ghp_{body}{check}"


def web_token() -> str:
    parts = [
        base64.urlsafe_b64encode(each).rstrip(b"=").decode()
        for each in (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"device-1"}', b"s" * 32)
    ]
    return ".".join(parts)


KERNEL = "".join(f"CONFIG_X{number}=y\n" for number in range(60))
HARD = "STACKPROTECTOR STRICT_KERNEL_RWX STRICT_MODULE_RWX HARDENED_USERCOPY FORTIFY_SOURCE SECCOMP STRICT_DEVMEM MODULES MODULE_SIG_FORCE"
HARDENED = KERNEL + "".join(f"CONFIG_{name}=y\n" for name in HARD.split())
SIGNED_FIT = {
    "images": {"kernel": {"data": b"k" * 64}},
    "configurations": {"conf": {"signature-1": {"algo": b"sha256,rsa2048\0"}}},
}
UNSIGNED_FIT = {"images": {"kernel": {"data": b"k" * 64}}, "configurations": {"conf": {"kernel": b"kernel\0"}}}

PLANTED: list[tuple[str, Entry, Entry]] = [
    ("account:password:empty", file("etc/passwd", "root::0:0::/:/bin/sh"), file("etc/passwd", "root:x:0:0::/:/bin/sh")),
    ("account:password:empty", file("etc/shadow", "root::1:0:9:7:::"), file("etc/shadow", "root:*:1:0:9:7:::")),
    ("account:password:known", file("etc/shadow", "root:$1$abc$w4QgUNlSaYbMOHG4lWxgn.:1::::::"), file("etc/shadow", "root:!:1::::::")),
    ("account:password:fixed", file("etc/shadow", f"root:{MD5}:1::::::"), file("etc/shadow", "root:!:1::::::")),
    ("account:password:weak-hash", file("etc/shadow", f"a:{MD5}:1::::::"), file("etc/shadow", "a:$y$j9T$abc$def:1::::::")),
    ("account:root:second", file("etc/passwd", "back:x:0:0::/:/bin/sh"), file("etc/passwd", "a:x:1000:0::/:/bin/sh")),
    ("service:telnet", file("etc/init.d/S50telnet", "#!/bin/sh\ntelnetd -l /bin/login\n"), file("etc/init.d/S50x", "# telnetd\nexec dropbear\n")),
    ("service:telnet", file("etc/inetd.conf", "telnet stream tcp nowait root /usr/sbin/telnetd telnetd"), file("etc/inetd.conf", "#telnet ... telnetd")),
    ("service:telnet:present", Entry("usr/sbin/telnetd", Kind.LINK, target="/bin/busybox"), file("usr/share/telnetd", "x")),
    ("service:ftp", file("etc/init.d/ftp", "vsftpd &"), file("etc/init.d/ftp", "# vsftpd &")),
    ("service:remote-shell", file("etc/inetd.conf", "shell stream tcp nowait root /usr/sbin/in.rshd in.rshd"), file("etc/inetd.conf", "")),
    ("service:debug", file("etc/rc.local", "gdbserver :2345 /usr/bin/app &"), file("etc/rc.local", "app &")),
    ("service:debug:present", file("usr/bin/gdbserver", elf()), file("usr/share/gdbserver", b"x")),
    ("ssh:root:password", file("etc/ssh/sshd_config", "PermitRootLogin yes\n"), file("etc/ssh/sshd_config", "PermitRootLogin yes\nPasswordAuthentication no\n")),
    ("ssh:password:empty", file("etc/ssh/sshd_config", "PermitEmptyPasswords yes"), file("etc/ssh/sshd_config", "#PermitEmptyPasswords yes")),
    ("console:shell", file("etc/inittab", "ttyS0::askfirst:-/bin/sh\n"), file("etc/inittab", "ttyS0::respawn:/sbin/getty -L ttyS0 115200 vt100\n")),
    ("boot:arguments:debug", file("boot/cmdline.txt", "root=/dev/mmcblk0p2 init=/bin/sh"), file("boot/cmdline.txt", "root=/dev/mmcblk0p2")),
    ("boot:arguments:debug", file("boot/a.dtb", device_tree({"chosen": {"bootargs": b"kgdboc=ttyS0 rw\0"}})), file("boot/a.dtb", device_tree({"chosen": {"bootargs": b"rw\0"}}))),
    ("boot:console", file("boot/cmdline.txt", "console=ttyAMA0,115200"), file("boot/cmdline.txt", "console=null")),
    ("boot:uimage:unsigned", file("boot/uImage", uimage(b"kernel" * 100)), file("boot/zImage", b"kernel" * 100)),
    ("boot:fit:unsigned", file("boot/image.itb", device_tree(UNSIGNED_FIT)), file("boot/image.itb", device_tree(SIGNED_FIT))),
    ("boot:mcuboot:unsigned", file("app.bin", mcuboot(tlvs=((0x10, bytes(32)),))), file("app.bin", mcuboot(tlvs=((0x10, bytes(32)), (0x24, bytes(64)))))),
    ("boot:mcuboot:weak", file("app.bin", mcuboot(tlvs=((0x20, bytes(256)),))), file("app.bin", mcuboot(tlvs=((0x22, bytes(70)),)))),
    ("elf:nx", file("bin/a", elf(stack_executable=True)), file("bin/a", GOOD)),
    ("elf:pie", file("bin/a", elf(kind=2, pie=False)), file("bin/a", GOOD)),
    ("elf:relro", file("bin/a", elf(relro=False)), file("bin/a", GOOD)),
    ("elf:relro", file("bin/a", elf(now=False)), file("bin/a", GOOD)),
    ("elf:canary", file("bin/a", elf(names=(b"puts",))), file("bin/a", GOOD)),
    ("elf:fortify", file("bin/a", elf(names=(b"memcpy", b"__stack_chk_fail"))), file("bin/a", elf(names=(b"__stack_chk_fail", b"puts")))),
    ("elf:cfi", file("bin/a", elf(machine=62)), file("bin/a", GOOD)),
    ("elf:rpath", file("bin/a", elf(run_path=b"/tmp/lib")), file("bin/a", elf(run_path=b"$ORIGIN/../lib"))),
    ("elf:symbols", file("bin/a", elf(symbols=True)), file("bin/a", GOOD)),
    ("kernel:config", file("boot/config-6.1", KERNEL), file("boot/config-6.1", HARDENED)),
    ("secret:private-key", file("etc/server.key", pem()), file("etc/server.key", b"-----BEGIN PRIVATE KEY-----\n" + b"A" * 100 + b"\n-----END PRIVATE KEY-----")),
    ("secret:private-key", file("bin/a", elf(rodata=pem(RSA_KEY, form=PrivateFormat.TraditionalOpenSSL))), file("bin/a", elf(rodata=b"-----BEGIN RSA PRIVATE KEY-----\n"))),
    ("secret:private-key:locked", file("etc/k.pem", pem(password=b"long enough")), file("etc/k.pem", b"x")),
    ("secret:host-key", file("etc/ssh/ssh_host_ecdsa_key", pem(form=PrivateFormat.OpenSSH)), file("etc/ssh/ssh_host_ecdsa_key.pub", b"ecdsa-sha2-nistp256 AAAA")),
    ("secret:host-key", file("etc/dropbear/dropbear_rsa_host_key", b"\0\0\0\x07ssh-rsa" + bytes(400)), file("etc/dropbear/readme", b"x")),
    ("secret:token", file("etc/ci.env", f"TOKEN={github()}"), file("etc/ci.env", f"TOKEN={github()[:-1]}_")),
    ("secret:token", file("etc/ci.env", "AWS=AKIAIOSFODNN7EXAMPLE"), file("etc/ci.env", "AKIAlower")),
    ("secret:token", file("www/app.js", f"const token = '{web_token()}'"), file("www/app.js", "eyJub3RqdXN0.eyJ0ZXh0IG9ubHk.abc")),
    ("secret:wifi", file("etc/wpa_supplicant.conf", 'network={\n psk="hunter22hunter"\n}'), file("etc/wpa_supplicant.conf", "network={\n key_mgmt=NONE\n}")),
    ("certificate:expired", file("etc/ssl/a.pem", certificate(days=-5)), file("etc/ssl/a.pem", certificate())),
    ("certificate:weak", file("etc/ssl/a.pem", certificate(bits=1024)), file("etc/ssl/a.pem", certificate())),
    ("file:world-writable", file("etc/hosts", "x", 0o666), file("etc/hosts", "x", 0o644)),
    ("file:world-writable", Entry("var/data", Kind.FOLDER, 0o777), Entry("tmp", Kind.FOLDER, 0o1777)),
    ("file:setuid", file("usr/bin/passwd", GOOD, 0o4755), file("usr/bin/passwd", GOOD, 0o755)),
    ("file:setuid:script", file("usr/bin/fix", "#!/bin/sh\n", 0o4755), file("usr/bin/fix", "#!/bin/sh\n", 0o755)),
    ("update:unsigned", file("etc/opkg.conf", "src/gz base http://example.org\n"), file("etc/opkg.conf", "src/gz base http://example.org\noption check_signature\n")),
    ("update:unsigned", file("etc/rauc/system.conf", "[system]\n"), file("etc/rauc/system.conf", "[system]\n[keyring]\npath=ca.pem\n")),
    ("update:unsigned", file("etc/mender/mender.conf", '{"ServerURL": "https://x"}'), file("etc/mender/mender.conf", '{"ServerURL": "https://x", "ArtifactVerifyKey": "k"}')),
    ("update:unsigned", file("etc/apt/sources.list", "deb [trusted=yes] http://x y z"), file("etc/apt/sources.list", "deb http://x y z")),
    ("update:clear", file("etc/mender/mender.conf", '{"ServerURL": "http://x", "ArtifactVerifyKey": "k"}'), file("etc/mender/mender.conf", '{"ServerURL": "https://x", "ArtifactVerifyKey": "k"}')),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "there", "absent"), PLANTED, ids=[f"{code}-{number}" for number, (code, _, _) in enumerate(PLANTED)]
)
def test_a_flaw_is_found_where_it_is_and_not_where_it_is_not(code: str, there: Entry, absent: Entry) -> None:
    assert code in codes(there)
    assert code not in codes(absent)


def test_every_flaw_of_the_table_is_planted() -> None:
    assert {code for code, _, _ in PLANTED} == set(FLAWS)


def test_a_finding_says_where_what_to_do_and_for_which_provisions() -> None:
    (found,) = [
        one
        for one in checked(file("etc/passwd", "root::0:0::/:/bin/sh"))["findings"]
        if one["code"] == "account:password:empty"
    ]
    assert found["severity"] == "critical"
    assert found["path"] == "/etc/passwd"
    assert "root" in found["message"]
    assert found["advice"]
    assert "EN 303 645 5.1-1" in found["provisions"]


@pytest.mark.parametrize(
    ("field", "scheme", "password"),
    [
        ("$1$abc$w4QgUNlSaYbMOHG4lWxgn.", "md5", "admin"),
        ("$5$abcdefgh$ePLkDkhSkZ1F0WvHhpdzPPzzdYnZCBNZFk5H9JzHBM6", "sha256", None),
        ("*", "locked", None),
        ("", "empty", None),
        ("$2b$12$abcdefghijklmnopqrstuv", "bcrypt", None),
        ("$6$rounds=999999999$salt$x", "sha512", None),
        ("$6$rounds=x$salt$x", "sha512", None),
        ("$1$", "md5", None),
        ("aaXXXXXXXXXXX", "des", None),
    ],
)
def test_hashes_are_named_and_only_defaults_are_tried(field: str, scheme: str, password: str | None) -> None:
    assert scheme_of(field) == scheme
    assert (known_password(field, "root") if field else None) == password


@pytest.mark.parametrize("rule", RULES, ids=[f"{rule.name}-{rule.version}" for rule in RULES])
def test_each_rule_finds_its_sample_and_no_other_does_with_the_same_certainty(rule: Rule) -> None:
    assert rule.version in rule.versions(rule.sample)
    others = {other.name for other in RULES if other.confidence >= 0.9 and any(other.versions(rule.sample))}
    assert others <= {rule.name}


def test_components_come_from_databases_notes_and_binaries_with_what_they_explain() -> None:
    status = "Package: busybox\nStatus: install ok installed\nArchitecture: armhf\nVersion: 1:1.35.0-4+b1\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
    note = b"\0" * 16 + b'{"type":"deb","os":"debian","name":"systemd","version":"252.39-1","architecture":"armhf"}'
    report = checked(
        file("etc/os-release", 'ID=debian\nVERSION_ID="12"\n'),
        file("var/lib/dpkg/status", status),
        file("var/lib/dpkg/info/busybox.list", "/.\n/bin/busybox\n"),
        file("bin/busybox", elf(rodata=b"\0BusyBox v1.35.0 (Debian)\0")),
        file("bin/udevd", elf(note=note)),
        file("lib/libz.so.1.2.13", elf()),
        file("opt/unknown", b"?" * 1000),
    )
    parts = {(one["name"], one["source"]): one for one in report["components"]}
    assert set(parts) == {
        ("busybox", "dpkg"),
        ("busybox", "binary"),
        ("systemd", "package note"),
        ("zlib", "file name"),
    }
    assert parts[("busybox", "dpkg")]["purl"] == "pkg:deb/debian/busybox@1%3A1.35.0-4%2Bb1?arch=armhf"
    assert parts[("busybox", "dpkg")]["files"] == ["/bin/busybox", "/var/lib/dpkg/status"]
    assert parts[("busybox", "binary")]["version"] == "1.35.0"
    assert parts[("systemd", "package note")]["purl"].startswith("pkg:deb/debian/systemd@252.39-1")
    assert parts[("zlib", "file name")]["confidence"] < parts[("busybox", "binary")]["confidence"] < 1
    coverage = report["coverage"]
    assert coverage["files"] == 7
    assert coverage["files_explained"] == 5
    assert coverage["largest_unexplained"][0] == {"path": "/opt/unknown", "bytes": 1000}


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        (
            "usr/lib/opkg/status",
            "Package: dropbear\nVersion: 2022.83-1\nStatus: install user installed\n",
            ("dropbear", "2022.83-1", "opkg"),
        ),
        ("lib/apk/db/installed", "P:musl\nV:1.2.4-r2\nA:armv7\nF:lib\nR:ld-musl.so\n\n", ("musl", "1.2.4-r2", "apk")),
        (
            "usr/share/bom.json",
            '{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"name":"x","version":"2","type":"library"}]}',
            ("x", "2", "SBOM"),
        ),
    ],
)
def test_other_databases_are_read_too(path: str, text: str, found: tuple[str, str, str]) -> None:
    report = checked(file(path, text))
    assert found in {(one["name"], one["version"], one["source"]) for one in report["components"]}


def test_a_kernel_tells_its_version_and_its_configuration() -> None:
    packed = zlib.compressobj(wbits=31)
    config = packed.compress(KERNEL.encode()) + packed.flush()
    kernel = b"\0" * (3 << 20) + b"Linux version 5.10.1 (a@b)\0" + b"IKCFG_ST" + config
    report = image(kernel)
    assert ("linux", "5.10.1") in {(one["name"], one["version"]) for one in report["components"]}
    assert any("STACKPROTECTOR" in one["message"] for one in report["findings"])
