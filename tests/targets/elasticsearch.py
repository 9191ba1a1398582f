"""Elasticsearch's ``_bulk``."""

from __future__ import annotations

import json

from tests.scripted import Reply
from tests.targets.strict import POISON, TIME, Strict, expect, read

OBJECTS = {"log", "event", "service", "node", "host", "trace", "span", "error", "labels", "ecs"}


class Elasticsearch(Strict):
    """Keeps documents by index and id, and the type of each field, as a mapping does."""

    media = "application/x-ndjson"
    paths = ("/_bulk",)

    def __init__(self, *script, items=None):
        super().__init__(*script)
        self.documents = {}
        self.types = {}
        self.items = items or {}  # by message: what one document is answered, once

    def take(self, request):
        query = request.path.partition("?")[2]
        expect("filter_path=errors,items.*.status,items.*.error" in query, query)
        expect(request.body.endswith(b"\n"), "no final newline")
        lines = request.body[:-1].split(b"\n")
        expect(len(lines) % 2 == 0, "an odd number of lines")
        results = [
            {"create": self.create(read(action), read(document))}
            for action, document in zip(lines[::2], lines[1::2], strict=True)
        ]
        errors = any(result["create"]["status"] >= 300 for result in results)
        return Reply(200, json.dumps({"errors": errors, "items": results}).encode())

    def create(self, action, document):
        expect(action.keys() == {"create"}, f"action {action}")
        expect(action["create"].keys() == {"_index", "_id"}, f"action {action}")
        index, identifier = action["create"]["_index"], action["create"]["_id"]
        expect(index == index.lower(), f"index {index}")
        expect(0 < len(identifier.encode()) <= 512, f"id {identifier}")
        expect(TIME.fullmatch(document["@timestamp"]), document["@timestamp"])
        expect(isinstance(document["message"], str), "a message that is no text")
        self.flat(document)
        if status := self.items.pop(document["message"], None):
            return failed(status, "es_rejected_execution_exception", "rejected execution")
        if (index, identifier) in self.documents:
            return failed(409, "version_conflict_engine_exception", "document already exists")
        if POISON in document["message"]:
            reason = "failed to parse field [x] of type [long]. Preview of field's value: 'secret'"
            return failed(400, "document_parsing_exception", reason)
        self.documents[index, identifier] = document
        self.taken.append(document)
        return {"status": 201}

    def flat(self, part, path=""):
        for name, value in part.items():
            expect(name and "." not in name, f"name {name!r}")
            expect(path or name in OBJECTS | {"@timestamp", "message"}, f"field {name}")
            if isinstance(value, dict):
                expect(name in OBJECTS and path != "labels.", f"object {path}{name}")
                self.flat(value, f"{path}{name}.")
                continue
            if value is None:
                continue
            kind = self.types.setdefault(f"{path}{name}", type(value))
            expect(kind is type(value), f"{path}{name} is {kind} and {type(value)}")
            expect(path != "labels." or kind is str, f"{path}{name} is {kind}")


def failed(status, kind, reason):
    return {"status": status, "error": {"type": kind, "reason": reason}}
