"""Bodies that are right, and what becomes of them when bytes change, go, come and move."""

from __future__ import annotations

import itertools

from tests.bench import bodies
from tests.builders import NOON
from tests.e2e import bad_records as bad
from tests.e2e.protocols import NativeBatch, NativeSingle, OtlpJson, OtlpProtobuf

LARGEST = 20_000  # bytes of a seed; the wildness is in the others
MOST_EDITS = 6
INTERESTING = b'\x00\x01\x7f\x80\xff"\\{}[],:-.0e\n\xed\xc0'


def seeds():
    """Give bodies by their protocol: usual ones, and each of the odd records that we know."""
    events = list(bodies.events(3, start=NOON))
    found = {
        NativeSingle: [bodies.native(events[0])[9:-2]],
        NativeBatch: [bodies.native(events)],
        OtlpJson: [bodies.otlp_json(events)],
        OtlpProtobuf: [bodies.otlp(events)],
    }
    odd = {NativeBatch: bad.NATIVE, OtlpJson: bad.OTLP_JSON, OtlpProtobuf: bad.PROTO}
    for protocol, cases in odd.items():
        for record, *_ in (case.values for case in cases):
            if isinstance(record, bytes):  # and not a large one, that is made where it is sent
                found[protocol].append(protocol(None).wrapped([record]))
    return {
        protocol: [body for body in each if len(body) < LARGEST] for protocol, each in found.items()
    }


def mutated(body, others, chance):
    """Give *body* after some edits; what is spliced in comes of *others*."""
    made = bytearray(body)
    for _ in range(chance.randint(1, MOST_EDITS)):
        start = chance.randint(0, len(made))
        length = min(int(chance.expovariate(1 / 8)) + 1, len(made) - start)
        other = chance.choice(others)
        place = chance.randint(0, len(other))
        piece = {
            "flip": bytes(byte ^ 1 << chance.randrange(8) for byte in made[start : start + 1]),
            "set": bytes(chance.choices(INTERESTING, k=min(length, 1))),
            "remove": b"",
            "repeat": bytes(made[start : start + length]) * chance.choice((2, 3, 50)),
            "random": chance.randbytes(length),
            "splice": other[place : place + chance.randint(0, 200)],
            "cut": None,
        }[edit := chance.choice(EDITS)]
        if piece is None:
            del made[start:]
        else:
            length = min(length, 1) if edit in {"flip", "set"} else length
            made[start : start + length] = piece
    return bytes(made)


EDITS = ("flip", "flip", "set", "set", "remove", "repeat", "random", "splice", "splice", "cut")


def endless(chance):
    """Give a protocol and a body for ever."""
    found = seeds()
    everything = list(itertools.chain.from_iterable(found.values()))
    while True:
        protocol = chance.choice(list(found))
        yield protocol, mutated(chance.choice(found[protocol]), everything, chance)
