"""One pass over records: devices, flows, counters, and the choice of the few payloads that Python will see.

A flow is bidirectional: VLAN, transport, two addresses, two ports. Its protocol is recognised by content among its first
payloads. A payload is selected for the deep path when its flow's protocol has a dissector and the sender has not said the
same before (see ``novelty``), within a budget for each device and protocol; a message that is cut goes on in the next
segments.
"""

from bastide.network.traffic.kernel.compiled import Buffer, Integers, compiled, inlined
from bastide.network.traffic.kernel.layers import (
    HAS_SOURCE,
    HAS_TARGET,
    LINK_ONLY,
    NETWORK,
    TRANSPORT,
    V_DIRECTION,
    V_DPORT,
    V_END,
    V_ETHERTYPE,
    V_FAMILY,
    V_FLAGS,
    V_HASH,
    V_KEY,
    V_MACS,
    V_OUTCOME,
    V_PAYLOAD,
    V_PROTOCOL,
    V_REASON,
    V_SEQUENCE,
    V_SOURCE_HIGH,
    V_SOURCE_LOW,
    V_SOURCE_MAC,
    V_SPORT,
    V_TARGET_HIGH,
    V_TARGET_LOW,
    V_TARGET_MAC,
    V_TRANSPORT,
    V_VLAN,
    decode,
)
from bastide.network.traffic.kernel.loads import prefetch
from bastide.network.traffic.kernel.novelty import BUDGETS, CONTINUES, DEPTH, novelty, wanted_after
from bastide.network.traffic.kernel.octets import be32, be48, mix
from bastide.network.traffic.kernel.recognise import begins, recognise_tcp, recognise_udp
from bastide.network.traffic.kernel.records import CAPTURED, LINK, OFFSET, TIME, WIRE
from bastide.network.traffic.kernel.tables import (
    BOUND,
    BY_IPV4,
    BY_IPV6,
    BY_MAC,
    C_BYTES,
    C_FIRST,
    C_FLOWS,
    C_FLOWS_EVICTED,
    C_FRAGMENTS,
    C_LAST,
    C_LIMITED,
    C_PACKETS,
    C_SELECTED,
    C_TRUNCATED,
    CLIENT_SHIFT,
    D_BYTES_RECEIVED,
    D_BYTES_SENT,
    D_DIALOGUES,
    D_HIGH,
    D_KIND,
    D_LAST,
    D_LOW,
    D_PROTOCOLS,
    D_RECEIVED,
    D_SENT,
    D_SERVED,
    F_ADDRESS0,
    F_BYTES,
    F_DEVICES,
    F_FIRST,
    F_KEY,
    F_LAST,
    F_PACKETS,
    F_PAYLOADS,
    F_STATE,
    F_WANT,
    FLAGS_SHIFT,
    FLOW_COLUMNS,
    IPV6_FLAG,
    PEER,
    S_DIRECTION,
    S_FLOW,
    S_FRAME,
    S_LENGTH,
    S_NUMBER,
    S_OFFSET,
    S_PROTOCOL,
    S_SEQUENCE,
    S_SOURCE,
    S_TARGET,
    S_TIME,
    S_TRANSPORT,
    SERVICE,
    SOURCE,
    WAYS,
    Tables,
    device_row,
    first_time,
    note_pair,
    relabel,
)
from bastide.network.traffic.words import Protocol

_TCP, _UDP, _ICMP, _ICMPV6, _IGMP = (
    int(Protocol.TCP),
    int(Protocol.UDP),
    int(Protocol.ICMP),
    int(Protocol.ICMPV6),
    int(Protocol.IGMP),
)
_GRE, _ESP, _SCTP, _IP_OTHER = int(Protocol.GRE), int(Protocol.ESP), int(Protocol.SCTP), int(Protocol.IP_OTHER)
_ARP, _LLDP, _CDP, _COTP, _LINK_OTHER = (
    int(Protocol.ARP),
    int(Protocol.LLDP),
    int(Protocol.CDP),
    int(Protocol.COTP),
    int(Protocol.LINK_OTHER),
)
_FIRST_TRANSPORT = _TCP

# Marks in S_DIRECTION beside the direction (bit 0).
FROM_SERVER, CONTINUATION, NAMED_HERE = 2, 4, 8

TRIES = 6
"""Payloads of a direction that are tried before a flow stays unknown; some servers greet, some clients pad."""


@inlined
def _transport_name(kind: int) -> int:
    if kind == 6:
        return _TCP
    if kind == 17:
        return _UDP
    if kind == 1:
        return _ICMP
    if kind == 58:
        return _ICMPV6
    if kind == 2:
        return _IGMP
    if kind == 47:
        return _GRE
    if kind == 50:
        return _ESP
    if kind == 132:
        return _SCTP
    return _IP_OTHER


@inlined
def _mark(tables: Tables, device: int, protocol: int, served: bool) -> None:
    """Sets the protocol's bit in one of the device's two-word masks."""
    column = (D_SERVED if served else D_PROTOCOLS) + (1 if protocol >= 60 else 0)
    tables.devices[device, column] |= 1 << (protocol - 60 if protocol >= 60 else protocol)


@compiled
def _device(tables: Tables, view: Integers, source: bool, now: int) -> int:
    """The row of the sender or receiver, or -1 where the address names no single device."""
    if view[V_MACS] & (HAS_SOURCE if source else HAS_TARGET):
        mac = int(view[V_SOURCE_MAC] if source else view[V_TARGET_MAC])
        if mac & 0x010000000000 or mac == 0:
            return -1
        return device_row(tables, BY_MAC, 0, mac, now)
    if view[V_MACS] or view[V_OUTCOME] < NETWORK:
        return -1
    high = int(view[V_SOURCE_HIGH] if source else view[V_TARGET_HIGH])
    low = int(view[V_SOURCE_LOW] if source else view[V_TARGET_LOW])
    if view[V_FAMILY] == 4:
        if low >> 28 == 14 or low == 0 or low == 0xFFFFFFFF:
            return -1
        return device_row(tables, BY_IPV4, 0, low, now)
    if (high >> 56) & 0xFF == 0xFF or (high == 0 and low == 0):
        return -1
    return device_row(tables, BY_IPV6, high, low, now)


@inlined
def _still(devices: Integers, view: Integers, device: int, source: bool) -> bool:
    """True where the device that a flow remembers is the one in this packet."""
    if device < 0:
        # A receiver without an address on the link (cooked capture) may still be known from the other direction.
        return not (view[V_MACS] & (HAS_SOURCE if source else HAS_TARGET))
    if view[V_MACS] & (HAS_SOURCE if source else HAS_TARGET):
        mac = view[V_SOURCE_MAC] if source else view[V_TARGET_MAC]
        return bool(devices[device, D_KIND] == BY_MAC and devices[device, D_LOW] == mac)
    if view[V_MACS]:
        return True
    low = view[V_SOURCE_LOW] if source else view[V_TARGET_LOW]
    high = view[V_SOURCE_HIGH] if source else view[V_TARGET_HIGH]
    return bool(devices[device, D_LOW] == low and devices[device, D_HIGH] == high)


@inlined
def _name_flow(view: Integers) -> None:
    """Notes the flow's key, its hash, and the direction: 0 is from the end that sorts first."""
    sport, dport = int(view[V_SPORT]), int(view[V_DPORT])
    sh, sl = int(view[V_SOURCE_HIGH]), int(view[V_SOURCE_LOW])
    th, tl = int(view[V_TARGET_HIGH]), int(view[V_TARGET_LOW])
    direction = 0
    if sh > th or (sh == th and (sl > tl or (sl == tl and sport > dport))):
        direction = 1
        sh, th = th, sh
        sl, tl = tl, sl
        sport, dport = dport, sport
    key = (
        (sport << 44) | (dport << 28) | (int(view[V_TRANSPORT]) << 20) | (int(view[V_VLAN]) << 8) | int(view[V_FAMILY])
    )
    view[V_KEY] = key
    view[V_DIRECTION] = direction
    view[V_HASH] = mix(mix(mix(mix(mix(key, sl), tl), sh), th), 0x1B873593)


@inlined
def _bucket(tags: Integers, state: int) -> int:
    return int(((state >> 8) & (tags.shape[0] // WAYS - 1)) * WAYS)


@inlined
def _flow(tags: Integers, flows: Integers, counters: Integers, view: Integers, now: int) -> tuple[int, int]:
    """(row, 1 where it is new) of the flow that the view names."""
    source, target = (V_TARGET_HIGH, V_SOURCE_HIGH) if view[V_DIRECTION] else (V_SOURCE_HIGH, V_TARGET_HIGH)
    sh, sl = int(view[source]), int(view[source + 1])
    th, tl = int(view[target]), int(view[target + 1])
    key = int(view[V_KEY])
    tag = int(view[V_HASH]) | 1
    base = _bucket(tags, int(view[V_HASH]))
    for way in range(base, base + WAYS):
        if (
            tags[way] == tag
            and flows[way, F_KEY] == key
            and flows[way, F_ADDRESS0 + 1] == sl
            and flows[way, F_ADDRESS0 + 3] == tl
            and flows[way, F_ADDRESS0] == sh
            and flows[way, F_ADDRESS0 + 2] == th
        ):
            return way, 0
    way = base
    for candidate in range(base, base + WAYS):
        if tags[candidate] == 0:
            way = candidate
            break
        if flows[candidate, F_LAST] < flows[way, F_LAST]:
            way = candidate
    if tags[way] != 0:
        counters[C_FLOWS_EVICTED] += 1
    tags[way] = tag
    flows[way, :] = 0
    flows[way, F_ADDRESS0] = sh
    flows[way, F_ADDRESS0 + 1] = sl
    flows[way, F_ADDRESS0 + 2] = th
    flows[way, F_ADDRESS0 + 3] = tl
    flows[way, F_KEY] = key
    flows[way, F_FIRST] = now
    return way, 1


@inlined
def _look_ahead(
    buffer: Buffer, records: Integers, at: int, count: int, tags: Integers, flows: Integers, views: Integers
) -> None:
    """Decodes the next packets and asks for what they will need of the flow table. A look-up waits for memory most of the time;
    asked for together, the waits of many overlap."""
    for place in range(count):
        view = views[place]
        offset = int(records[at + place, OFFSET])
        view[V_REASON] = decode(
            buffer, offset, offset + int(records[at + place, CAPTURED]), int(records[at + place, LINK]), view
        )
        if view[V_OUTCOME] == TRANSPORT:
            _name_flow(view)
            prefetch(tags, _bucket(tags, int(view[V_HASH])))
    for place in range(count):
        if views[place, V_OUTCOME] == TRANSPORT:
            state = int(views[place, V_HASH])
            base = _bucket(tags, state)
            for way in range(base, base + WAYS):
                if tags[way] == state | 1:
                    prefetch(flows, way * FLOW_COLUMNS)
                    prefetch(flows, way * FLOW_COLUMNS + FLOW_COLUMNS // 2)
                    break


@inlined
def _first_client(view: Integers, direction: int) -> int:
    """Which end asked first (1 or 2), from a flow's first packet."""
    sender_is_client = True
    if view[V_TRANSPORT] == 6 and view[V_FLAGS] & 2:
        sender_is_client = not view[V_FLAGS] & 16
    elif (view[V_SPORT] < 1024 and view[V_DPORT] >= 1024) or (view[V_TRANSPORT] == 6 and view[V_SPORT] < view[V_DPORT]):
        sender_is_client = False
    return 1 + (direction if sender_is_client else 1 - direction)


@compiled
def _link_protocol(
    buffer: Buffer, tables: Tables, view: Integers, source: int, target: int, octets: int, now: int
) -> None:
    """Frames without IP: counted as a conversation of two addresses; ARP binds addresses to devices."""
    protocol = int(view[V_PROTOCOL])
    state = mix(0x51ED, protocol)
    if source >= 0:
        _mark(tables, source, protocol, False)
        state = mix(mix(state, int(view[V_SOURCE_MAC])), target + 1)
    if first_time(tables, state):
        tables.by_protocol[protocol] += 1
    if protocol == _ARP and source >= 0:
        at = int(view[V_PAYLOAD])
        sender, address = be48(buffer, at + 8), be32(buffer, at + 14)
        if sender == view[V_SOURCE_MAC] and address != 0 and view[V_ETHERTYPE] == 0x0806:
            note_pair(tables, BOUND, source, 0, address, 0, octets, now)


@compiled
def absorb(
    buffer: Buffer,
    records: Integers,
    start: int,
    stop: int,
    number: int,
    tables: Tables,
    views: Integers,
    selected: Integers,
    deep: int,
) -> tuple[int, int]:
    """Takes ``records[start:stop]`` into the tables. Returns (where to go on, payloads selected); it stops early where
    ``selected`` is full. ``number`` is the number of the first record in the capture, from 0. ``deep`` 0 selects
    nothing, 1 what is new, 2 every payload of a recognised flow. ``views`` has a row for each packet looked ahead."""
    filled = 0
    flow_tags, flows, devices, counters = tables.flow_tags, tables.flows, tables.devices, tables.counters
    limit = selected.shape[0]
    ahead = views.shape[0]
    for index in range(start, stop):
        if filled >= limit:
            return index, filled
        place = (index - start) % ahead
        if place == 0:
            _look_ahead(buffer, records, index, min(ahead, stop - index), flow_tags, flows, views)
        view = views[place]
        offset = int(records[index, OFFSET])
        captured = int(records[index, CAPTURED])
        octets = int(records[index, WIRE])
        now = int(records[index, TIME])
        reason = int(view[V_REASON])
        counters[C_PACKETS] += 1
        counters[C_BYTES] += octets
        if captured < octets:
            counters[C_TRUNCATED] += 1
        if now:
            if counters[C_FIRST] == 0 or now < counters[C_FIRST]:
                counters[C_FIRST] = now
            if now > counters[C_LAST]:
                counters[C_LAST] = now
        outcome = int(view[V_OUTCOME])
        if reason >= 0:
            tables.reasons[reason] += 1
        if outcome != TRANSPORT:
            if outcome >= LINK_ONLY:
                source = _device(tables, view, True, now)
                target = _device(tables, view, False, now)
                if source >= 0:
                    devices[source, D_SENT] += 1
                    devices[source, D_BYTES_SENT] += octets
                    devices[source, D_LAST] = max(now, int(devices[source, D_LAST]))
                    if outcome == NETWORK:
                        note_pair(
                            tables,
                            SOURCE,
                            source | (IPV6_FLAG if view[V_FAMILY] == 6 else 0),
                            int(view[V_SOURCE_HIGH]),
                            int(view[V_SOURCE_LOW]),
                            0,
                            octets,
                            now,
                        )
                        if reason >= 0:
                            counters[C_FRAGMENTS] += 1
                if target >= 0:
                    devices[target, D_RECEIVED] += 1
                    devices[target, D_BYTES_RECEIVED] += octets
                if outcome == LINK_ONLY and reason < 0:
                    _link_protocol(buffer, tables, view, source, target, octets, now)
                    protocol = int(view[V_PROTOCOL])
                    chosen = protocol == _LLDP or protocol == _CDP or (deep == 2 and protocol == _ARP)
                    if deep and chosen and source >= 0:
                        at, end = int(view[V_PAYLOAD]), int(view[V_END])
                        if deep == 2 or (
                            first_time(tables, novelty(buffer, at, end, protocol, source, 0, 0, 0))
                            and tables.budget[source, protocol] < BUDGETS[protocol]
                        ):
                            tables.budget[source, protocol] += 1
                            _select(selected, filled, at, end - at, -1, 0, protocol, now, source, target, 0)
                            selected[filled, S_NUMBER] = number + index
                            selected[filled, S_FRAME] = offset
                            selected[filled, S_TRANSPORT] = 0
                            filled += 1
            continue

        flow, new = _flow(flow_tags, flows, counters, view, now)
        direction = int(view[V_DIRECTION])
        if new:
            label = _transport_name(int(view[V_TRANSPORT]))
            flows[flow, F_STATE] = label | (_first_client(view, direction) << CLIENT_SHIFT)
            tables.by_protocol[label] += 1
            counters[C_FLOWS] += 1
        remembered = int(flows[flow, F_DEVICES])
        ours, other = remembered & 0xFFFFFFFF, remembered >> 32
        if direction:
            ours, other = other, ours
        source, target = ours - 1, other - 1
        if new or not _still(devices, view, source, True):
            source = _device(tables, view, True, now)
            if source >= 0:
                note_pair(
                    tables,
                    SOURCE,
                    source | (IPV6_FLAG if view[V_FAMILY] == 6 else 0),
                    int(view[V_SOURCE_HIGH]),
                    int(view[V_SOURCE_LOW]),
                    0,
                    octets,
                    now,
                )
            new = 2
        if new or not _still(devices, view, target, False):
            target = _device(tables, view, False, now)
            if new != 2:
                new = 3
        if new:
            packed = ((target + 1) << 32) | (source + 1) if direction == 0 else ((source + 1) << 32) | (target + 1)
            flows[flow, F_DEVICES] = packed
            label = int(flows[flow, F_STATE]) & 0xFF
            if source >= 0:
                _mark(tables, source, label, False)
                if flows[flow, F_PACKETS] + flows[flow, F_PACKETS + 1] == 0:
                    devices[source, D_DIALOGUES] += 1
                    note_pair(
                        tables,
                        PEER,
                        source | (IPV6_FLAG if view[V_FAMILY] == 6 else 0),
                        int(view[V_TARGET_HIGH]),
                        int(view[V_TARGET_LOW]),
                        0,
                        octets,
                        now,
                    )
            if target >= 0 and label < _FIRST_TRANSPORT:
                _mark(tables, target, label, False)
        flows[flow, F_PACKETS + direction] += 1
        flows[flow, F_BYTES + direction] += octets
        if now > flows[flow, F_LAST]:
            flows[flow, F_LAST] = now
        if source >= 0:
            devices[source, D_SENT] += 1
            devices[source, D_BYTES_SENT] += octets
            if now > devices[source, D_LAST]:
                devices[source, D_LAST] = now
        if target >= 0:
            devices[target, D_RECEIVED] += 1
            devices[target, D_BYTES_RECEIVED] += octets
        if view[V_FLAGS]:
            flows[flow, F_STATE] |= int(view[V_FLAGS]) << (FLAGS_SHIFT + 8 * direction)

        at, end = int(view[V_PAYLOAD]), int(view[V_END])
        transport = int(view[V_TRANSPORT])
        if at >= end or (transport != 6 and transport != 17):
            continue
        payloads = (int(flows[flow, F_PAYLOADS]) >> (16 * direction)) & 0xFFFF
        if payloads < 0xFFFF:
            flows[flow, F_PAYLOADS] += 1 << (16 * direction)
        protocol = int(flows[flow, F_STATE]) & 0xFF
        client = (int(flows[flow, F_STATE]) >> CLIENT_SHIFT) & 3
        from_server = client != 0 and direction != client - 1
        named = 0
        if (protocol >= _FIRST_TRANSPORT or protocol == _COTP) and payloads < TRIES:
            if transport == 6:
                found = recognise_tcp(buffer, at, end, int(view[V_SPORT]), int(view[V_DPORT]))
            else:
                found = recognise_udp(buffer, at, end, int(view[V_SPORT]), int(view[V_DPORT]))
            if found and found != protocol:
                relabel(tables, flow, found)
                named = NAMED_HERE
                protocol = found
                if source >= 0:
                    _mark(tables, source, found, False)
                if target >= 0:
                    _mark(tables, target, found, False)
                if payloads and from_server:
                    payloads = 0  # the answer that names the flow also shows the service
        if protocol >= _FIRST_TRANSPORT:
            if payloads == 0 and from_server and source >= 0 and transport == 6:
                _serve(tables, view, source, protocol, octets, now)
            continue
        if from_server and source >= 0 and payloads == 0:
            _mark(tables, source, protocol, True)
            _serve(tables, view, source, protocol, octets, now)
        if deep == 0:
            continue
        marks = direction | (FROM_SERVER if from_server else 0)
        want = (int(flows[flow, F_WANT]) >> (8 * direction)) & 0xFF
        chosen = False
        if begins(buffer, at, end, protocol) and source >= 0:
            if deep == 2:
                chosen = True
            elif payloads < DEPTH[protocol]:
                said = novelty(
                    buffer,
                    at,
                    end,
                    protocol,
                    source,
                    int(view[V_SOURCE_LOW] if from_server else view[V_TARGET_LOW]),
                    int(view[V_SPORT] if from_server else view[V_DPORT]),
                    1 if from_server else 0,
                )
                if first_time(tables, said):
                    if tables.budget[source, protocol] < BUDGETS[protocol]:
                        tables.budget[source, protocol] += 1
                        chosen = True
                    else:
                        counters[C_LIMITED] += 1
        if chosen:
            more = wanted_after(buffer, at, end, protocol) if transport == 6 else 0
            flows[flow, F_WANT] = (int(flows[flow, F_WANT]) & ~(0xFF << (8 * direction))) | (
                min(more, CONTINUES) << (8 * direction)
            )
            marks |= named
        elif want > 0:
            flows[flow, F_WANT] -= 1 << (8 * direction)
            chosen = True
            marks |= CONTINUATION
        if chosen:
            _select(
                selected,
                filled,
                at,
                end - at,
                flow,
                marks,
                protocol,
                now,
                source,
                target,
                int(view[V_SEQUENCE]),
            )
            selected[filled, S_NUMBER] = number + index
            selected[filled, S_FRAME] = offset
            selected[filled, S_TRANSPORT] = transport
            filled += 1
            counters[C_SELECTED] += 1
    return stop, filled


@compiled
def _serve(tables: Tables, view: Integers, device: int, protocol: int, octets: int, now: int) -> None:
    """Notes that a device answered on a port. Ephemeral UDP ports of peers to peers are left out by the caller."""
    note_pair(
        tables,
        SERVICE,
        device | (IPV6_FLAG if view[V_FAMILY] == 6 else 0),
        int(view[V_SOURCE_HIGH]),
        int(view[V_SOURCE_LOW]),
        (protocol << 32) | (int(view[V_TRANSPORT]) << 16) | int(view[V_SPORT]),
        octets,
        now,
    )


@inlined
def _select(
    selected: Integers,
    row: int,
    at: int,
    length: int,
    flow: int,
    direction: int,
    protocol: int,
    now: int,
    source: int,
    target: int,
    sequence: int,
) -> None:
    selected[row, S_OFFSET] = at
    selected[row, S_LENGTH] = length
    selected[row, S_FLOW] = flow
    selected[row, S_DIRECTION] = direction
    selected[row, S_PROTOCOL] = protocol
    selected[row, S_TIME] = now
    selected[row, S_SOURCE] = source
    selected[row, S_TARGET] = target
    selected[row, S_SEQUENCE] = sequence
