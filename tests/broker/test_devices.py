"""Unmodified mosquitto clients with certificates of the fleet's authority, on a real broker with real ingest."""

import asyncio
import contextlib
import json
import socket
import ssl
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import nats
import nats.errors
import pytest
from nats.aio.msg import Msg

from bastide.core.profile import Channel, Direction, FieldType, PayloadField, Profile
from bastide.core.standing import Standing
from bastide.network.profile.document import GENERIC, parse_profile
from tests.broker.house import Enrolled, House, issue_server_certificate, opened, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRICT = Profile(
    name=parse_profile(GENERIC).name,
    device_class=parse_profile(GENERIC).device_class,
    title="Strict",
    channels=(
        Channel(
            "devices/{device}/telemetry",
            Direction.PUBLISH,
            "climate",
            fields=(
                PayloadField("temperature", FieldType.NUMBER, "climate", required=True, minimum=-40, maximum=85),
                PayloadField("mode", FieldType.TEXT, "climate", max_length=8),
            ),
            essential=True,
        ),
        Channel("devices/{device}/event", Direction.PUBLISH, "events", fields=()),
        Channel("devices/{device}/commands", Direction.SUBSCRIBE, "orders"),
    ),
    rate_per_second=50.0,
    burst=20,
    max_payload_bytes=200,
)


async def stored(house: House, device: Enrolled, count: int) -> None:
    async def enough() -> bool:
        return await house.messages(device.id) >= count

    await until(enough, f"{count} messages of {device.id} are stored")
    assert await house.messages(device.id) == count


async def counted(house: House, device: Enrolled, kind: str, count: int = 1) -> float:
    """Waits until evidence of a kind counts so many; gives the seconds."""

    async def enough() -> bool:
        return sum(fact.count for fact in await house.evidence(device.id, kind)) >= count

    return await until(enough, f"{count} of {kind} about {device.id}")


async def test_what_a_device_publishes_on_its_own_topics_is_stored_and_republished(house: House) -> None:
    device = await house.enrol()
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

    subscription = await house.broker.open.platform.subscribe(f"telemetry.generic.{device.id}.>", cb=hear)
    for qos in (0, 1, 2):
        done = await house.mosquitto_pub(device, "telemetry", json.dumps({"t": 20 + qos, "on": True}), qos=qos)
        assert done.returncode == 0, done.stdout + done.stderr

    await stored(house, device, 3)
    assert [(message.subject, json.loads(message.data)) for message in heard] == [
        (f"telemetry.generic.{device.id}.telemetry", {"t": 20 + qos, "on": True}) for qos in (0, 1, 2)
    ]
    now = datetime.now(UTC)
    series = await house.samples.series(device.id, "t", now - timedelta(hours=1), now + timedelta(hours=1), 7200)
    assert {value for _, value in series} <= {20.0, 20.5, 21.0, 21.5, 22.0}
    assert await house.samples.fields(device.id, now - timedelta(hours=1)) == ["on", "t"]
    await subscription.unsubscribe()


async def test_on_another_devices_topic_nothing_is_delivered_and_the_attempt_is_evidence_within_a_second(
    house: House,
) -> None:
    thief, victim = await house.enrol(), await house.enrol()
    listener = house.start_mosquitto(
        "mosquitto_sub", victim, "--quiet", "-q", "1", "-t", f"devices/{victim.id}/commands", "-W", "3"
    )
    try:
        await until(lambda: len(house.broker.open.sessions.of(victim.id)) == 1, "the victim listens")
        for channel in ("telemetry", "commands"):
            await house.mosquitto_pub(thief, f"devices/{victim.id}/{channel}", '{"t": 1}')
        took = await counted(house, thief, "broker.publish.denied", 1)
        assert took < 1.0
        said, _ = await asyncio.to_thread(listener.communicate)
    finally:
        listener.kill()
        listener.wait()
    assert said == ""
    assert await house.messages(victim.id) == 0
    assert await house.messages(thief.id) == 0
    fact = (await house.evidence(thief.id, "broker.publish.denied"))[-1]
    assert fact.body["topic"] == f"devices/{victim.id}/telemetry"
    assert await house.evidence(victim.id, "broker.publish.denied") == ()


@pytest.mark.parametrize(
    "topic", ["devices/{victim}/commands", "devices/#", "#", "+/+/commands", "devices/{own}/telemetry"]
)
async def test_a_subscription_beyond_its_own_channels_is_answered_with_failure_and_is_evidence(
    house: House, topic: str
) -> None:
    device, victim = await house.enrol(), await house.enrol()
    wanted = topic.format(victim=victim.id, own=device.id)
    done = await asyncio.to_thread(
        house.run_mosquitto, "mosquitto_sub", device, "-d", "-q", "1", "-t", wanted, "-W", "1"
    )
    assert "Subscribed (mid: 1): 128" in done.stdout
    assert await counted(house, device, "broker.subscribe.denied") < 1.0
    assert (await house.evidence(device.id, "broker.subscribe.denied"))[0].body["topic"] == wanted


@pytest.mark.parametrize(
    "topic", ["$MQTT/sub/#", "$SYS/#", "$JS/#", "$KV/#", "up/#", "_INBOX/#", "$MQTT/deliver/pubrel/#"]
)
async def test_the_brokers_own_subjects_are_closed_to_devices(house: House, topic: str) -> None:
    device = await house.enrol()
    done = await asyncio.to_thread(
        house.run_mosquitto, "mosquitto_sub", device, "-d", "-q", "0", "-t", topic, "-W", "1"
    )
    assert "): 0" not in done.stdout
    assert "128" in done.stdout or done.returncode != 0


async def test_its_own_command_channel_is_granted(house: House) -> None:
    device = await house.enrol()
    done = await asyncio.to_thread(
        house.run_mosquitto, "mosquitto_sub", device, "-d", "-q", "1", "-t", f"devices/{device.id}/commands", "-W", "1"
    )
    assert "Subscribed (mid: 1): 1" in done.stdout


async def test_what_is_not_declared_does_not_come_in_and_is_counted(house: House) -> None:
    device = await house.enrol(profile=replace(STRICT, name=type(STRICT.name)("strict")))
    good = '{"temperature": 21.5}'
    for payload in ("not json", "[1]", '{"temperature": "warm"}', '{"temperature": 900}', '{"mode": "eco"}', "NaN"):
        await house.mosquitto_pub(device, "telemetry", payload)
    await house.mosquitto_pub(device, "telemetry", '{"temperature": 1, "mode": "' + "x" * 300 + '"}')
    await house.mosquitto_pub(device, "telemetry", '{"temperature": 20.5, "ssid": "home", "mode": "eco"}')
    await house.mosquitto_pub(device, "telemetry", good)

    await stored(house, device, 2)
    await counted(house, device, "ingest.payload.malformed", 6)
    await counted(house, device, "ingest.payload.oversized", 1)
    await counted(house, device, "ingest.field.undeclared")
    found = await house.samples.latest(device.id, 10)
    assert sorted((field, value) for _, field, value in found) == [
        ("mode", "eco"), ("temperature", 20.5), ("temperature", 21.5),
    ]  # fmt: skip
    fact = (await house.evidence(device.id, "ingest.field.undeclared"))[0]
    assert "ssid" in str(fact.body["found"])
    assert "home" not in str(fact.body)


async def test_too_frequent_qos_0_is_dropped_and_qos_1_is_slowed_and_both_are_counted(house: House) -> None:
    device = await house.enrol(profile=replace(STRICT, name=type(STRICT.name)("slow"), rate_per_second=20.0, burst=5))
    lines = "".join(f'{{"temperature": {number % 80}}}\n' for number in range(60)).encode()
    topic = f"devices/{device.id}/telemetry"

    def flood(qos: str) -> float:
        command = house.mosquitto("mosquitto_pub", device, "-q", qos, "-l", "-t", topic)
        began = time.monotonic()
        subprocess.run(command, input=lines, timeout=30, check=True, capture_output=True)
        return time.monotonic() - began

    took = await asyncio.to_thread(flood, "1")
    await stored(house, device, 60)
    assert took > 1.0  # 60 messages at 20 a second, 5 of them at once
    await counted(house, device, "ingest.rate.exceeded", 10)

    await asyncio.to_thread(flood, "0")
    await asyncio.sleep(0)
    await counted(house, device, "ingest.rate.exceeded", 60)
    assert await house.messages(device.id) < 110


async def test_a_quarantined_device_is_put_out_its_last_will_is_heard_by_nobody_and_it_stays_out(house: House) -> None:
    device = await house.enrol()
    heard: list[bytes] = []

    async def hear(message: Msg) -> None:
        heard.append(message.data)

    subscription = await house.broker.open.platform.subscribe(f"telemetry.*.{device.id}.>", cb=hear)
    topic = f"devices/{device.id}/status"
    client = house.start_mosquitto(
        "mosquitto_sub", device, "-d", "-q", "1", "-t", f"devices/{device.id}/commands",
        "--will-topic", topic, "--will-payload", '{"online": false}', "--will-qos", "1", "-W", "20",
    )  # fmt: skip
    try:
        await until(lambda: len(house.broker.open.sessions.of(device.id)) == 1, "the device is connected")
        await house.mosquitto_pub(device, "status", '{"online": true}')
        await stored(house, device, 1)

        began = time.monotonic()
        outcome = await house.decide(device.id, Standing.QUARANTINED)
        assert time.monotonic() - began < 1.0
        assert outcome.holds == "connection refused; 1 session ended"
        assert house.broker.open.sessions.of(device.id) == ()
    finally:
        client.kill()
        client.communicate()

    refused = await house.mosquitto_pub(device, "status", '{"online": true}')
    assert refused.returncode != 0
    assert "not authorised" in refused.stdout + refused.stderr
    await counted(house, device, "broker.connect.refused")
    assert (await house.evidence(device.id, "broker.connect.refused"))[0].body[
        "reason"
    ] == "broker:standing:quarantined"
    assert await house.messages(device.id) == 1
    assert heard == [b'{"online":true}']

    await house.decide(device.id, Standing.TRUSTED)
    assert (await house.mosquitto_pub(device, "status", '{"online": true}')).returncode == 0
    await subscription.unsubscribe()


async def test_a_restricted_device_keeps_its_essential_channels_only(house: House) -> None:
    device = await house.enrol(Standing.RESTRICTED)
    await house.mosquitto_pub(device, "telemetry", '{"t": 1}')
    await house.mosquitto_pub(device, "event", '{"t": 1}')
    await stored(house, device, 1)
    await counted(house, device, "broker.publish.denied")


@pytest.mark.parametrize("standing", [Standing.PENDING, Standing.UNKNOWN, Standing.RETIRED])
async def test_other_standings_may_not_connect(house: House, standing: Standing) -> None:
    device = await house.enrol(standing)
    assert (await house.mosquitto_pub(device, "telemetry", '{"t": 1}')).returncode != 0
    await counted(house, device, "broker.connect.refused")


async def test_a_revoked_certificate_is_refused_although_the_device_is_trusted(house: House) -> None:
    device = await house.enrol()
    leaf = ssl.PEM_cert_to_DER_cert(
        device.certificate.read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    )
    house.revoked.add(leaf)
    assert (await house.mosquitto_pub(device, "telemetry", '{"t": 1}')).returncode != 0
    await counted(house, device, "broker.connect.refused")


@pytest.mark.parametrize("name", ["d-aaaaaaaaaaaaaaaaaaaa", "localhost", "$SYS", "d-*", "controller"])
async def test_a_certificate_that_names_no_device_of_ours_is_refused(house: House, name: str) -> None:
    stranger = house.certificate(name)
    assert (await house.mosquitto_pub(stranger, "devices/x/telemetry", '{"t": 1}')).returncode != 0


async def test_a_client_id_or_user_name_of_another_device_gives_nothing(house: House) -> None:
    device, victim = await house.enrol(), await house.enrol()
    topic = f"devices/{victim.id}/telemetry"
    await house.mosquitto_pub(device, topic, '{"t": 1}', "-i", victim.id, "-u", f"{victim.id}:1", "-P", "x")
    await counted(house, device, "broker.publish.denied")
    assert await house.messages(victim.id) == 0


async def test_without_a_client_certificate_or_tls_there_is_no_way_in(
    house: House, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = str(house.directory.trust / "root.pem")
    bare = ["mosquitto_pub", "-h", "localhost", "-p", str(house.mqtt_port), "-t", "devices/x/y", "-m", "{}"]
    for more in (["--cafile", root], []):
        done = await asyncio.to_thread(subprocess.run, [*bare, *more], capture_output=True, timeout=20, check=False)
        assert done.returncode != 0
    async with opened(tmp_path_factory.mktemp("foreign"), ingest=False) as other:
        foreign = await other.enrol()
        refused = await house.mosquitto_pub(foreign, "telemetry", '{"t": 1}')
        assert refused.returncode != 0
    # The platform's own port speaks TLS from the first byte, and wants a key.
    plain = socket.create_connection(("127.0.0.1", house.nats_port), timeout=2)
    plain.settimeout(0.3)
    with plain, contextlib.suppress(TimeoutError):
        assert plain.recv(100) == b""
    with pytest.raises(nats.errors.Error):
        await nats.connect(
            f"tls://localhost:{house.nats_port}",
            tls=ssl.create_default_context(cafile=root),
            tls_handshake_first=True,
            allow_reconnect=False,
            connect_timeout=2,
        )


async def test_an_older_plan_is_refused_and_the_same_plan_again_is_carried_out_again(house: House) -> None:
    from bastide.core.error import Refused

    device = await house.enrol()
    held = house.broker.open.plans.held(device.id)
    assert held is not None
    again = await house.broker.enforcer.apply(held.plan)
    assert again.generation == held.plan.generation
    await house.decide(device.id, Standing.QUARANTINED)
    with pytest.raises(Refused) as refused:
        await house.broker.enforcer.apply(held.plan)
    assert refused.value.reason == "plan:generation:stale"


async def test_a_plan_with_the_same_rights_lets_sessions_live(house: House) -> None:
    device = await house.enrol()
    client = house.start_mosquitto(
        "mosquitto_sub", device, "-q", "1", "-t", f"devices/{device.id}/commands", "-W", "20"
    )
    try:
        await until(lambda: len(house.broker.open.sessions.of(device.id)) == 1, "the device is connected")
        before = house.broker.open.sessions.of(device.id)
        await house.decide(device.id, Standing.TRUSTED)
        assert house.broker.open.sessions.of(device.id) == before
        await house.decide(device.id, Standing.RESTRICTED)
        assert before[0] not in house.broker.open.sessions.of(device.id)
    finally:
        client.kill()
        client.communicate()


async def test_a_profile_that_declares_another_field_holds_for_the_next_message_and_no_session_ends(
    house: House,
) -> None:
    profile = replace(STRICT, name=type(STRICT.name)("grows"))
    device = await house.enrol(profile=profile)
    await house.mosquitto_pub(device, "telemetry", '{"temperature": 1, "pressure": 2}')
    await stored(house, device, 1)
    telemetry = profile.channels[0]
    more = replace(telemetry, fields=(*telemetry.fields, PayloadField("pressure", FieldType.NUMBER, "climate")))
    async with house.state.units("test") as work:
        grown = replace(profile, channels=(more, *profile.channels[1:]))
        work.catalogue.put_profile(grown, "", house.clock.now())
        work.ledger.record("profile:document:stored", f"profile:{profile.name}", {})

    def handed_on() -> bool:
        held = house.broker.open.plans.held(device.id)
        return held is not None and held.profile == grown

    await until(handed_on, "the profile is handed on")
    await house.mosquitto_pub(device, "telemetry", '{"temperature": 3, "pressure": 4}')
    await stored(house, device, 2)
    assert sorted((name, value) for _, name, value in await house.samples.latest(device.id, 10)) == [
        ("pressure", 4.0), ("temperature", 1.0), ("temperature", 3.0),
    ]  # fmt: skip


async def test_a_renewed_certificate_of_the_broker_is_shown_to_every_new_connection(house: House) -> None:
    def shown(port: int) -> bytes:
        context = ssl.create_default_context(cafile=str(house.directory.trust / "root.pem"))
        context.load_cert_chain(device.certificate, device.key)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as wrapped,
        ):
            return wrapped.getpeercert(binary_form=True) or b""

    async def both() -> set[bytes]:
        return {await asyncio.to_thread(shown, port) for port in (house.mqtt_port, house.nats_port)}

    device = await house.enrol()
    before = await both()
    await issue_server_certificate(house.directory, house.signer, "second")
    assert await both() == before
    house.broker.certificate_renewed()

    async def renewed() -> bool:
        return not await both() & before

    await until(renewed, "both listeners show the new certificate")
    assert (await house.mosquitto_pub(device, "telemetry", '{"t": 1}')).returncode == 0
    await stored(house, device, 1)
