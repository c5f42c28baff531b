"""The signer as a process: what it signs, what it refuses, what it remembers, and what a crash or a hostile peer does to it."""

import asyncio
import json
import os
import random
import struct
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key

from bastide.adapters.signer.client import SignerClient
from bastide.core.error import Refused, Unavailable
from bastide.core.ids import RequestId
from bastide.core.merkle import leaf_hash, node_hash
from bastide.device.identity.hierarchy import key_id
from bastide.wire.checkpoint import open_checkpoint
from bastide.wire.journal import GENESIS, read_lines
from bastide.wire.nkeys import Kind, decode_public, encode_public, verify_jwt
from bastide.wire.note import VerifierKey
from bastide.wire.signing import FRAME_LIMIT_BYTES, Outcome, decode_answer, encode_request, frame, length
from bastide.wire.signing import BrokerUser as BrokerUserAsk
from tests.peers import require
from tests.processes.signing import certificate, encoded, new_device, user_claims
from tests.scenarios.enrolment.platform import SignerProcess, new_request, run


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[SignerProcess]:
    started = SignerProcess(tmp_path).start()
    yield started
    if started.running:
        started.stop()


@pytest.fixture
async def signer(process: SignerProcess) -> AsyncIterator[SignerClient]:
    client = SignerClient(process.socket)
    yield client
    await client.close()


def code(refused: pytest.ExceptionInfo[Refused]) -> str:
    return refused.value.reason


async def test_nobody_else_reads_what_it_keeps(process: SignerProcess) -> None:
    folder = process.data / "signer"
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("keys.enc", "passphrase", "journal.log"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert process.socket.stat().st_mode & 0o777 == 0o600
    sealed = (folder / "keys.enc").read_bytes()
    assert b"PRIVATE" not in sealed
    assert sealed.startswith(b"BASTIDE-KEYS-1\n")


async def test_a_device_certificate_has_the_form_that_openssl_accepts(
    process: SignerProcess, signer: SignerClient, tmp_path: Path
) -> None:
    openssl = require("openssl")
    device = new_device()
    (tmp_path / "leaf.der").write_bytes(await certificate(signer, "request-1", device=device))
    await run(openssl, "x509", "-inform", "DER", "-in", tmp_path / "leaf.der", "-out", tmp_path / "leaf.pem")
    status, out, said = await run(
        openssl, "verify", "-x509_strict", "-purpose", "sslclient", "-policy_check",
        "-CAfile", process.data / "trust" / "root.pem", "-untrusted", process.data / "trust" / "issuing.pem",
        tmp_path / "leaf.pem",
    )  # fmt: skip
    assert (status, out.strip().endswith(b"OK")) == (0, True), said
    status, out, _ = await run(openssl, "verify", "-purpose", "sslserver", "-CAfile", process.data / "trust" / "root.pem",
        "-untrusted", process.data / "trust" / "issuing.pem", tmp_path / "leaf.pem")  # fmt: skip
    assert status != 0
    _, out, _ = await run(openssl, "x509", "-in", tmp_path / "leaf.pem", "-noout", "-text")
    text = out.decode()
    for expected in (
        f"Subject: CN = {device}", "CA:FALSE", "Digital Signature", "TLS Web Client Authentication",
        "X509v3 Authority Key Identifier", "X509v3 Subject Key Identifier", "ecdsa-with-SHA256",
    ):  # fmt: skip
        assert expected in text
    assert "Key Encipherment" not in text


async def test_the_same_request_gives_the_same_answer_also_after_a_restart(
    process: SignerProcess, signer: SignerClient
) -> None:
    csr, device = new_request()[1], new_device()
    now = datetime.now(UTC).replace(microsecond=0)

    async def ask() -> bytes:
        return await signer.device_certificate(
            RequestId("enrol:one"), csr=csr, device=device, device_class="camera",  # type: ignore[arg-type]
            not_before=now, not_after=now + timedelta(days=1),
        )  # fmt: skip

    issuer = key_id(x509.load_pem_x509_certificate((process.data / "trust" / "issuing.pem").read_bytes()))
    claims = encoded(user_claims(device))
    first, user = await ask(), await signer.broker_user(RequestId("user:one"), claims=claims)
    plan = json.dumps({"device": device, "generation": 1}).encode()
    signed = await signer.plan(RequestId("plan:one"), plan=plan)
    crl = await signer.crl(RequestId("crl:number-one"), revoked=[], this_update=now, issuer=issuer)
    process.kill()
    process.start()
    assert await ask() == first
    assert await signer.broker_user(RequestId("user:one"), claims=claims) == user
    assert await signer.plan(RequestId("plan:one"), plan=plan) == signed
    again = await signer.crl(RequestId("crl:number-one"), revoked=[], this_update=now, issuer=issuer)
    assert x509.load_der_x509_crl(again).tbs_certlist_bytes == x509.load_der_x509_crl(crl).tbs_certlist_bytes
    with pytest.raises(Refused) as refused:
        await certificate(signer, "enrol:one", csr, device)
    assert code(refused) == "signer:request:reused"
    journal = (process.data / "signer" / "journal.log").read_bytes()
    assert [line.entry.kind for line in read_lines(journal, GENESIS, 0, "journal")] == ["opened"] + ["signed"] * 4


async def test_what_a_device_profile_does_not_allow_is_refused(signer: SignerClient) -> None:
    now = datetime.now(UTC)
    csr, device = new_request()[1], new_device()

    async def ask(request: str, **other: Any) -> str:
        given: dict[str, Any] = {
            "csr": csr, "device": device, "device_class": "camera", "not_before": now, "not_after": now + timedelta(days=1),
            **other,
        }  # fmt: skip
        with pytest.raises(Refused) as refused:
            await signer.device_certificate(RequestId(request), **given)
        return code(refused)

    assert await ask("bad-id-001", device="router") == "signer:device:id"
    assert await ask("bad-id-002", device=device + "a") == "signer:device:id"
    assert await ask("bad-class1", device_class="A B") == "signer:device:class"
    assert await ask("bad-time-1", not_after=now + timedelta(days=399)) == "signer:device:validity"
    assert await ask("bad-time-2", not_after=now - timedelta(days=1)) == "signer:device:validity"
    assert await ask("bad-time-3", not_before=now - timedelta(hours=2)) == "signer:device:validity"
    assert await ask("bad-time-4", not_before=now + timedelta(hours=1)) == "signer:device:validity"
    assert await ask("bad-csr-01", csr=b"\x30\x03\x02\x01\x00") == "signer:csr:unreadable"
    assert await ask("short") == "signer:request:unreadable"


async def test_server_certificates_are_for_this_machine_only(signer: SignerClient) -> None:
    csr = new_request()[1]
    der = await signer.server_certificate(RequestId("server-01"), csr=csr, names=["localhost", "127.0.0.1", "::1"])
    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    for number, name in enumerate(("example.com", "*.localhost", "10.0.0.1", "localhost.", "")):
        with pytest.raises(Refused) as refused:
            await signer.server_certificate(RequestId(f"server-1{number}"), csr=csr, names=[name])
        assert code(refused) in ("signer:server:names", "signer:request:unreadable")


def _root(leaves: list[bytes]) -> bytes:
    while len(leaves) > 1:
        leaves = [node_hash(leaves[at], leaves[at + 1]) for at in range(0, len(leaves), 2)]
    return leaves[0]


async def test_a_tree_head_is_signed_only_if_it_extends_the_last_one(
    process: SignerProcess, signer: SignerClient
) -> None:
    key = VerifierKey.parse((process.data / "trust" / "checkpoint.vkey").read_text().strip())
    leaves = [leaf_hash(b"%d" % number) for number in range(4)]
    two, four = _root(leaves[:2]), _root(leaves)
    assert await signer.last_checkpoint() is None
    note = await signer.checkpoint(RequestId("head-size-2"), origin=key.name, size=2, root=two, consistency=[])
    assert open_checkpoint(note, key).root == two

    async def refused(name: str, **head: Any) -> str:
        with pytest.raises(Refused) as error:
            await signer.checkpoint(RequestId(name), **{"origin": key.name, "consistency": [], **head})
        return code(error)

    proof = [_root(leaves[2:])]
    assert await refused("fork-size-4", size=4, root=four) == "signer:checkpoint:not-an-extension"
    assert await refused("fork-size-2", size=2, root=four) == "signer:checkpoint:not-an-extension"
    assert await refused("back-size-1", size=1, root=leaves[0]) == "signer:checkpoint:not-an-extension"
    assert await refused("other-log-4", size=4, root=four, consistency=proof, origin="x") == "signer:checkpoint:origin"
    await signer.checkpoint(RequestId("head-size-4"), origin=key.name, size=4, root=four, consistency=proof)
    process.kill()
    process.start()
    assert await signer.last_checkpoint() == (4, four)
    assert await refused("old-backup-2", size=2, root=two) == "signer:checkpoint:not-an-extension"


async def test_a_plan_is_signed_with_the_key_that_is_published(process: SignerProcess, signer: SignerClient) -> None:
    plan = json.dumps({"device": new_device(), "generation": 7}).encode()
    signature = await signer.plan(RequestId("plan-0007"), plan=plan)
    load_pem_public_key((process.data / "trust" / "plan.pub").read_bytes()).verify(signature, plan)  # type: ignore[union-attr, call-arg]
    for number, bad in enumerate((b"{}", b"[]", b"nonsense", b'{"device":"x","generation":1}', b"[" * 60_000)):
        with pytest.raises(Refused) as refused:
            await signer.plan(RequestId(f"bad-plan-{number}"), plan=bad)
        assert code(refused) == "signer:plan:unreadable"


async def test_a_broker_user_is_signed_for_one_device_alone_or_inside_its_response(
    process: SignerProcess, signer: SignerClient
) -> None:
    account = (process.data / "trust" / "devices-account.pub").read_text().strip()
    key = decode_public(account, Kind.ACCOUNT)
    claims = user_claims(new_device())
    user = verify_jwt(await signer.broker_user(RequestId("user-0001"), claims=encoded(claims)), key)
    assert (user["iss"], user["sub"], user["nats"]) == (account, claims["sub"], claims["nats"])

    server = encode_public(Kind.SERVER, os.urandom(32))
    response = {
        "sub": claims["sub"],
        "aud": server,
        "nats": {"type": "authorization_response", "version": 2, "jwt": claims},
    }
    answered = verify_jwt(await signer.broker_user(RequestId("answer-001"), claims=encoded(response)), key)
    assert verify_jwt(answered["nats"]["jwt"], key)["nats"] == claims["nats"]
    refusal = {**response, "nats": {"type": "authorization_response", "version": 2, "error": "quarantined"}}
    answered = verify_jwt(await signer.broker_user(RequestId("answer-002"), claims=encoded(refusal)), key)
    assert answered["nats"]["error"] == "quarantined"


Change = Callable[[dict[str, Any]], None]


def _nats(**values: Any) -> Change:
    return lambda claims: claims["nats"].update(values)


HOSTILE: dict[str, Change] = {
    "another device's subject": _nats(pub={"allow": ["up.d-" + "a" * 20 + ".status"]}),
    "what is said to the device, as if it were from the device": lambda claims: claims["nats"].update(
        pub={"allow": [f"devices.{claims['name'].partition(':')[0]}.commands"]}
    ),
    "every device's subjects": _nats(sub={"allow": ["devices.>"]}),
    "a wildcard for the device": _nats(sub={"allow": ["devices.*.commands"]}),
    "the whole account": _nats(sub={"allow": [">"]}),
    "the system": _nats(pub={"allow": ["$SYS.REQ.SERVER.PING"]}),
    "the broker's retained messages": _nats(sub={"allow": ["$MQTT.rmsgs"]}),
    "another's deliveries": _nats(pub={"allow": ["$MQTT.sub.>"]}),
    "the stream store": _nats(pub={"allow": ["$JS.API.>"]}),
    "no list, which is everything": _nats(pub={}),
    "an empty list, which is everything": _nats(sub={"allow": []}),
    "no permissions at all": lambda claims: claims["nats"].pop("pub"),
    "another account": lambda claims: claims.update(aud="BASTIDE"),
    "no account": lambda claims: claims.pop("aud"),
    "a name that is no device": lambda claims: claims.update(name="admin:1"),
    "no generation": lambda claims: claims.update(name=claims["name"].partition(":")[0]),
    "another way in": _nats(allowed_connection_types=["STANDARD"]),
    "any way in": _nats(allowed_connection_types=[]),
    "a bearer token": _nats(bearer_token=True),
    "responses": _nats(resp={"max": -1}),
    "another issuer": lambda claims: claims.update(iss="A" * 56),
    "an account's key": lambda claims: claims.update(sub=encode_public(Kind.ACCOUNT, bytes(32))),
    "a far end": lambda claims: claims.update(exp=2**40),
    "another type": _nats(type="account"),
    "an unknown claim": lambda claims: claims.update(admin=True),
    "a subject with a space": _nats(pub={"allow": ["devices.x y"]}),
}


async def test_claims_that_reach_beyond_the_device_are_refused(signer: SignerClient) -> None:
    for number, (name, change) in enumerate(HOSTILE.items()):
        claims = user_claims(new_device())
        change(claims)
        with pytest.raises(Refused) as refused:
            await signer.broker_user(RequestId(f"hostile-{number:04}"), claims=encoded(claims))
        assert code(refused).startswith("signer:broker-user:"), name
        claims["sub"] = encode_public(Kind.USER, bytes(32)) if "key" not in name else claims["sub"]
        response = {"type": "authorization_response", "version": 2, "jwt": claims}
        wrapped = {"sub": claims["sub"], "aud": encode_public(Kind.SERVER, bytes(32)), "nats": response}
        with pytest.raises(Refused):
            await signer.broker_user(RequestId(f"wrapped-{number:04}"), claims=encoded(wrapped))
    doubled = encoded(user_claims(new_device())).replace(b'"aud": "DEVICES"', b'"aud": "SYS", "aud": "DEVICES"')
    with pytest.raises(Refused):
        await signer.broker_user(RequestId("doubled-name"), claims=doubled)


async def test_an_unknown_profile_is_refused_by_name(process: SignerProcess) -> None:
    reader, writer = await asyncio.open_unix_connection(process.socket)
    known = encode_request(5, "request-1", BrokerUserAsk(b"{}"))
    writer.write(frame(known.replace(b"\xabbroker-user", b"\xaatuf-online")))
    answer = decode_answer(await reader.readexactly(length(await reader.readexactly(4))))
    assert (answer.correlation, answer.outcome, answer.code) == (5, Outcome.REFUSED, "signer:profile:unknown")
    writer.close()
    await writer.wait_closed()


async def test_a_fuzzed_client_gets_nothing_signed_and_stops_nobody(
    process: SignerProcess, signer: SignerClient
) -> None:
    seed = 20261123
    chance = random.Random(seed)
    lines_before = (process.data / "signer" / "journal.log").read_bytes().count(b"\n")
    valid = encode_request(1, "request-1", BrokerUserAsk(b'{"nats":{"type":"user"}}'))

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_unix_connection(process.socket)
        mutated = bytearray(valid)
        for _ in range(chance.randint(1, 4)):
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        body = [
            bytes(mutated),
            chance.randbytes(chance.randint(1, 300)),
            b"\x91" * 4000,
            b"\xdf\xff\xff\xff\xff",
        ][number % 4]
        header = [struct.pack(">I", len(body)), b"\xff\xff\xff\xff", b"\0\0\0\0", struct.pack(">I", FRAME_LIMIT_BYTES)]
        try:
            writer.write(header[number % 7 if number % 7 < 4 else 0] + body)
            if writer.can_write_eof():
                writer.write_eof()
            async with asyncio.timeout(10):
                await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()

    for start in range(0, 400, 40):
        await asyncio.gather(*(one(start + number) for number in range(40)))
    await certificate(signer, "afterwards")
    assert (process.data / "signer" / "journal.log").read_bytes().count(b"\n") == lines_before + 1, f"seed {seed}"
    assert process.running


async def test_kill_9_in_the_middle_of_issuing_loses_no_answer_and_makes_no_second_certificate(
    process: SignerProcess, signer: SignerClient
) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    requests = [(f"storm:{number:06}", new_request()[1], new_device()) for number in range(240)]
    now = datetime.now(UTC).replace(microsecond=0)
    answers: dict[str, set[bytes]] = {}

    async def ask(request: str, csr: bytes, device: Any) -> None:
        der = await signer.device_certificate(
            RequestId(request), csr=csr, device=device, device_class="camera",  # type: ignore[arg-type]
            not_before=now, not_after=now + timedelta(days=1),
        )  # fmt: skip
        answers.setdefault(request, set()).add(der)

    for start in range(0, len(requests), 60):
        asking = [asyncio.create_task(ask(*one)) for one in requests[start : start + 60]]
        await asyncio.sleep(chance.uniform(0.0, 0.06))
        process.kill()
        process.start()
        await asyncio.gather(*asking)
    for one in requests:
        await ask(*one)
    assert {len(different) for different in answers.values()} == {1}
    journal = (process.data / "signer" / "journal.log").read_bytes()
    signed = [line.entry for line in read_lines(journal, GENESIS, 0, "journal") if line.entry.kind == "signed"]
    assert len(signed) == len(requests) == len({entry.request for entry in signed})


async def test_a_second_signer_on_the_same_folder_is_refused(process: SignerProcess) -> None:
    with pytest.raises(AssertionError, match="Another signer runs"):
        SignerProcess(process.data).start()


async def test_a_client_says_unavailable_while_the_signer_is_gone_and_goes_on_when_it_is_back(
    process: SignerProcess,
) -> None:
    client = SignerClient(process.socket, timedelta(seconds=0.5))
    await certificate(client, "before-it")
    process.kill()
    with pytest.raises(Unavailable):
        await certificate(client, "meanwhile")
    process.start()
    assert await certificate(client, "meanwhile")
    await client.close()


async def test_keys_do_not_open_with_another_passphrase_nor_from_a_changed_file(process: SignerProcess) -> None:
    process.stop()
    folder = process.data / "signer"
    secret = (folder / "passphrase").read_bytes()
    (folder / "passphrase").write_bytes(b"guess\n")
    with pytest.raises(AssertionError, match="passphrase does not open"):
        process.start()
    (folder / "passphrase").write_bytes(secret)
    sealed = bytearray((folder / "keys.enc").read_bytes())
    sealed[-20] ^= 1
    (folder / "keys.enc").write_bytes(sealed)
    with pytest.raises(AssertionError, match="or the file was changed"):
        process.start()
    sealed[-20] ^= 1
    (folder / "keys.enc").write_bytes(sealed)
    (folder / "passphrase").chmod(0o644)
    with pytest.raises(AssertionError, match="can be read by others"):
        process.start()
    (folder / "passphrase").chmod(0o600)
    (folder / "keys.enc").rename(folder / "away")
    with pytest.raises(AssertionError, match="the keys that it belongs to are gone"):
        process.start()
    (folder / "away").rename(folder / "keys.enc")
    (folder / "journal.log").rename(folder / "away")
    with pytest.raises(AssertionError, match="the journal of what they signed is not in"):
        process.start()
    (folder / "away").rename(folder / "journal.log")
    process.start()


async def test_a_first_start_that_is_killed_is_begun_again(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BASTIDE_")}
    for _ in range(6):
        killed = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bastide.signer", env={**environment, "BASTIDE_DATA": str(tmp_path)}
        )
        await asyncio.sleep(chance.uniform(0.15, 0.5))
        killed.kill()
        await killed.wait()
    process = SignerProcess(tmp_path).start()
    first = (tmp_path / "trust" / "root.pem").read_bytes()
    process.kill()
    process.start()
    assert (tmp_path / "trust" / "root.pem").read_bytes() == first
    process.stop()


async def test_a_passphrase_may_come_from_elsewhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse battery staple\n")
    process = SignerProcess(tmp_path, BASTIDE_SIGNER_PASSPHRASE_FILE=str(secret)).start()
    try:
        assert not (tmp_path / "signer" / "passphrase").exists()
        process.stop()
        process.start()
    finally:
        process.stop()


async def test_a_setting_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no setting paspfrase_file"):
        SignerProcess(tmp_path, BASTIDE_SIGNER_PASPFRASE_FILE="x").start()


async def test_softhsm_holds_the_keys_and_they_do_not_leave_it(tmp_path: Path) -> None:
    softhsm = require("softhsm2-util")
    module = next((path for path in MODULES if path.exists()), None)
    if module is None:
        pytest.skip("libsofthsm2.so is not installed")
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n")
    (tmp_path / "pin").write_text("5678\n")
    settings = {
        "SOFTHSM2_CONF": str(tmp_path / "softhsm2.conf"),
        "BASTIDE_SIGNER_KEYS": "pkcs11",
        "BASTIDE_SIGNER_PKCS11_MODULE": str(module),
        "BASTIDE_SIGNER_PKCS11_TOKEN": "bastide",
        "BASTIDE_SIGNER_PKCS11_PIN_FILE": str(tmp_path / "pin"),
    }
    made = await run(
        "env", f"SOFTHSM2_CONF={tmp_path / 'softhsm2.conf'}", softhsm, "--init-token", "--free", "--label", "bastide",
        "--so-pin", "1234", "--pin", "5678",
    )  # fmt: skip
    assert made[0] == 0, made
    process = SignerProcess(tmp_path, **settings).start()
    client = SignerClient(process.socket)
    try:
        device = new_device()
        csr = new_request()[1]
        first = await certificate(client, "in-a-token", csr, device)
        (tmp_path / "leaf.der").write_bytes(first)
        root, issuing = (
            x509.load_pem_x509_certificate((tmp_path / "trust" / name).read_bytes())
            for name in ("root.pem", "issuing.pem")
        )
        issuing.verify_directly_issued_by(root)
        x509.load_der_x509_certificate(first).verify_directly_issued_by(issuing)
        key = VerifierKey.parse((tmp_path / "trust" / "checkpoint.vkey").read_text().strip())
        head = leaf_hash(b"x")
        note = await client.checkpoint(RequestId("head-size-1"), origin=key.name, size=1, root=head, consistency=[])
        assert open_checkpoint(note, key).size == 1
        assert not (tmp_path / "signer" / "keys.enc").exists()
        await _next_ca_from_the_token(tmp_path, client, settings)
        process.kill()
        process.start()
        assert await client.last_checkpoint() == (1, head)
        user = await client.broker_user(RequestId("user-0001"), claims=encoded(user_claims(device)))
        account = (tmp_path / "trust" / "devices-account.pub").read_text().strip()
        assert verify_jwt(user, decode_public(account, Kind.ACCOUNT))["name"] == f"{device}:1"
    finally:
        await client.close()
        process.stop()
    process = SignerProcess(tmp_path, **{**settings, "BASTIDE_SIGNER_PKCS11_TOKEN": "another"})
    with pytest.raises(AssertionError, match="cannot be opened"):
        process.start()


async def _next_ca_from_the_token(folder: Path, client: SignerClient, settings: dict[str, str]) -> None:
    """The root signs inside the token, and the next issuing CA's key is there beside the first."""
    csr = x509.load_der_x509_csr(await client.next_issuing(RequestId("next-issuing-1")))
    (folder / "next.pem").write_bytes(csr.public_bytes(Encoding.PEM))
    signed = await run(
        "env", f"SOFTHSM2_CONF={settings['SOFTHSM2_CONF']}", Path(sys.executable).with_name("bastide"), "ceremony", "sign",
        folder / "next.pem", "--root", folder / "trust" / "root.pem", "-o", folder / "ca.pem", "--use-in", "1s",
        "--pkcs11-module", settings["BASTIDE_SIGNER_PKCS11_MODULE"], "--pkcs11-token", "bastide",
        "--pkcs11-pin-file", folder / "pin",
    )  # fmt: skip
    assert signed[0] == 0, signed
    made = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    der = made.public_bytes(Encoding.DER)
    assert await client.take_authority(RequestId("authority-1"), certificates=[der]) == key_id(made)
    listed = x509.load_pem_x509_certificates((folder / "trust" / "issuing.pem").read_bytes())
    assert listed[0] == made
    assert len(listed) == 2
    now = datetime.now(UTC)
    crl = await client.crl(RequestId("list-by-2"), revoked=[], this_update=now, issuer=key_id(made))
    assert x509.load_der_x509_crl(crl).is_signature_valid(made.public_key())  # type: ignore[arg-type]


MODULES = (Path("/usr/lib/softhsm/libsofthsm2.so"), Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"))


async def test_the_journal_names_each_certificate(process: SignerProcess, signer: SignerClient) -> None:
    der = await certificate(signer, "noted-001")
    journal = (process.data / "signer" / "journal.log").read_bytes()
    *_, last = read_lines(journal, GENESIS, 0, "journal")
    assert last.entry.what["serial"] == f"{x509.load_der_x509_certificate(der).serial_number:x}"
    body = journal.splitlines()[-1][65:]
    assert last.hash == sha256(bytes.fromhex(journal.splitlines()[-2][:64].decode()) + body).digest()
