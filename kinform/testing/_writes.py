"""Writes over HTTP: create, replace, patch, apply and delete.

Checks names, preconditions and finalizers; keeps uid, generation, managedFields and, where it is a subresource, status.
Does no admission, validation of fields, graceful deletion or garbage collection, and sets no defaults but the label of
a namespace. Knows no sockets.
Source: "API Concepts" and "API Conventions" of Kubernetes, and the answers of kube-apiserver 1.36.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from kinform.testing import _status
from kinform.testing._encoding import dumps, encode_body, watch_form
from kinform.testing._field_managers import Manager, apply, record_update
from kinform.testing._objects.kinds import Object
from kinform.testing._patches import json_patch, merge, strategic_merge
from kinform.testing._requests import RecordedRequest
from kinform.testing._storage import Record, Storage, StoredCollection, set_defaults, time_of

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PROPAGATION = ("Foreground", "Background", "Orphan")
_SERVER_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_OPTIONS = {"create": "CreateOptions", "replace": "UpdateOptions", "delete": "DeleteOptions"}

Answer = tuple[int, bytes]


def answer_write(storage: Storage, collection: StoredCollection, request: RecordedRequest) -> Answer:
    """Carries out a write; returns the HTTP status and the body, or raises Refusal."""
    write = _Write(storage, collection, request)
    match request.verb:
        case "create":
            return write.create()
        case "replace":
            return write.replace()
        case "patch" | "apply":
            return write.patch()
        case _:
            return write.delete()


class _Write:
    def __init__(self, storage: Storage, collection: StoredCollection, request: RecordedRequest) -> None:
        self._storage = storage
        self._collection = collection
        self._resource = collection.resource
        self._request = request
        self._dry_run = request.params.get("dryRun")
        self._time = time_of(storage.revision + 1)
        agent = request.headers.get("User-Agent", "").partition("/")[0]
        self._manager = request.params.get("fieldManager") or agent or "unknown"

    # Verbs

    def create(self) -> Answer:
        obj = self._decoded(dict)
        metadata = self._checked(obj)
        if metadata.get("resourceVersion"):
            raise _status.wrong_version_on_create()
        return self._add(obj)

    def replace(self) -> Answer:
        obj = self._decoded(dict)
        metadata = self._checked(obj)
        if not metadata.get("name"):
            message = f"the name of the object ({self._request.name} based on URL) was undeterminable"
            raise _status.bad_request(f"{message}: name must be provided")
        self._check_name(metadata)
        record = self._find()
        if not (metadata.get("resourceVersion") or self._resource.unconditional):
            message = "Invalid value: 0: must be specified for an update"
            raise self._invalid(record.name, "metadata.resourceVersion", "FieldValueInvalid", message)
        if metadata.get("uid") not in (None, "", record.uid):
            why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {record.uid}"
            raise _status.conflict(self._resource, record.name, why)
        return self._update(record, obj)

    def patch(self) -> Answer:
        kind = self._request.headers.get("Content-Type", "").partition(";")[0].strip()
        accepted = [JSON_PATCH, MERGE, *([] if self._resource.custom else [STRATEGIC]), APPLY]
        if kind not in accepted:
            raise _status.unsupported_media_type(", ".join(accepted))
        if kind == APPLY:
            return self._apply()
        if "force" in self._request.params:
            message = "Forbidden: may not be specified for non-apply patch"
            raise _status.invalid(("force", "FieldValueForbidden", message), kind="PatchOptions")
        patch = self._decoded(list if kind == JSON_PATCH else dict)
        record = self._find()
        old = self._whole(record)
        if kind == JSON_PATCH:
            obj = json_patch(old, patch)
        else:
            obj = merge(old, patch) if kind == MERGE else strategic_merge(old, patch)
        metadata = self._checked(obj)
        self._check_name(metadata)
        self._check_uid(metadata, record.uid)
        return self._update(record, obj)

    def delete(self) -> Answer:
        options = {**self._request.params, **(self._decoded(dict) if self._request.body else {})}
        self._dry_run = options["dryRun"][0] if isinstance(options.get("dryRun"), list) else options.get("dryRun")
        policy = options.get("propagationPolicy", "Background")
        if policy not in _PROPAGATION:
            allowed = ", ".join(f'"{each}"' for each in (*_PROPAGATION, "nil"))
            message = f'Unsupported value: "{policy}": supported values: {allowed}'
            cause = ("propagationPolicy", "FieldValueNotSupported", message)
            raise _status.invalid(cause, kind="DeleteOptions")
        record = self._find()
        expected = options.get("preconditions") or {}
        for field, actual in (("uid", record.uid), ("resourceVersion", str(record.revision))):
            if expected.get(field) not in (None, actual):
                why = f"the {field} in the precondition ({expected[field]}) does not match that in record ({actual})"
                raise _status.conflict(self._resource, record.name, why)
        obj = record.decode()
        metadata = obj["metadata"]
        if metadata.get("finalizers"):
            if not metadata.get("deletionTimestamp"):
                metadata.update(deletionTimestamp=self._time, deletionGracePeriodSeconds=0)
                if "generation" in metadata:
                    metadata["generation"] += 1
                return self._put(record, obj)
            return 200, self._body(record.body)
        return self._remove(record)

    def _apply(self) -> Answer:
        params, wanted = self._request.params, self._decoded(dict)
        if not params.get("fieldManager"):
            cause = ("fieldManager", "FieldValueRequired", "Required value: is required for apply patch")
            raise _status.invalid(cause, kind="PatchOptions")
        if not wanted.get("kind") or wanted.get("apiVersion") != self._resource.api_version:
            given = f"{wanted.get('apiVersion', '/')}, Kind={wanted.get('kind', '')}"
            raise _status.bad_request(f"invalid object type: {given}")
        metadata = self._checked(wanted)
        if metadata.get("managedFields"):
            raise _status.bad_request("metadata.managedFields must be nil")
        self._check_name(metadata)
        metadata["name"] = self._request.name
        if self._request.subresource:
            wanted = {"metadata": {}, "status": wanted.get("status")}
        elif self._resource.status:
            wanted.pop("status", None)
        manager = Manager(self._manager, "Apply", self._request.subresource)
        force = params.get("force") == "true"
        record = self._collection.records.get(self._key())
        if record is None:
            if self._request.subresource:
                self._find()
            if uid := metadata.get("uid"):
                why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                raise _status.conflict(self._resource, self._request.name or "", why)
            return self._add(apply(None, wanted, manager, self._resource, self._time, force=force))
        self._check_uid(metadata, record.uid)
        self._check_version(metadata, record)
        old = record.decode()
        new = apply(old, wanted, manager, self._resource, self._time, force=force)
        return self._finish(record, old, new)

    # Steps

    def _add(self, obj: Object) -> Answer:
        """Creates an object. One without managedFields is that of a create."""
        metadata = obj["metadata"]
        name = metadata.get("name", "")
        if not name and not metadata.get("generateName"):
            message = "Required value: name or generateName is required"
            raise self._invalid("", "metadata.name", "FieldValueRequired", message)
        if name and not (_NAME.fullmatch(name) and len(name) <= 253):
            message = f'Invalid value: "{name}": a lowercase RFC 1123 subdomain must consist of lower case letters'
            raise self._invalid(name, "metadata.name", "FieldValueInvalid", message)
        key = f"{self._request.namespace}/{name}" if self._request.namespace else name
        if (there := self._collection.records.get(key)) is not None:
            terminating = "deletionTimestamp" in there.decode()["metadata"]
            raise _status.already_exists(self._resource, name, terminating=terminating)
        for field in (*_SERVER_FIELDS, "resourceVersion"):
            metadata.pop(field, None)
        if self._request.namespace:
            metadata["namespace"] = self._request.namespace
        if self._resource.status and self._resource.plural != "nodes":  # a kubelet creates its node with a status
            obj.pop("status", None)
        if self._resource.generation:
            metadata["generation"] = 1
        if self._request.verb == "create":
            metadata.pop("managedFields", None)
            if name:
                set_defaults(self._resource, metadata)
            record_update(None, obj, Manager(self._manager, "Update"), self._resource.api_version, self._time)
        return self._put(None, obj)

    def _update(self, record: Record, new: Object) -> Answer:
        """Replaces an object by what a replace or a patch made of it."""
        self._check_version(new["metadata"], record)
        old = record.decode()
        if self._request.subresource:
            new = {**old, "status": new.get("status"), "metadata": dict(old["metadata"])}
        elif self._resource.status:
            new = {**new, "status": old.get("status")}
        if new.get("status") is None:
            new.pop("status", None)
        new["metadata"]["managedFields"] = old["metadata"].get("managedFields")
        set_defaults(self._resource, new["metadata"])
        manager = Manager(self._manager, "Update", self._request.subresource)
        record_update(old, new, manager, self._resource.api_version, self._time)
        return self._finish(record, old, new)

    def _finish(self, record: Record, old: Object, new: Object) -> Answer:
        before, metadata = old["metadata"], new["metadata"]
        for field in _SERVER_FIELDS:
            metadata.pop(field, None)
            if field in before:
                metadata[field] = before[field]
        metadata.update(name=record.name, **({"namespace": record.namespace} if record.namespace else {}))
        finalizers = metadata.get("finalizers") or []
        added = [each for each in finalizers if each not in (before.get("finalizers") or [])]
        if added and "deletionTimestamp" in metadata:
            message = f"Forbidden: no new finalizers can be added if the object is being deleted, found {added}"
            raise self._invalid(record.name, "metadata.finalizers", "FieldValueForbidden", message)
        if self._resource.generation and _content(self._resource.status, old) != _content(self._resource.status, new):
            metadata["generation"] = before.get("generation", 0) + 1
        if "deletionTimestamp" in metadata and not finalizers and before.get("finalizers"):
            return self._remove(record, new)
        return self._put(record, new)

    def _put(self, old: Record | None, obj: Object) -> Answer:
        storage, collection = self._storage, self._collection
        if old is not None and storage.is_unchanged(collection, old, obj):
            return 200, self._body(old.body)
        code = 201 if old is None else 200
        if self._dry_run:
            made = storage.build(collection, obj, storage.revision).decode()
            if old is None:
                del made["metadata"]["resourceVersion"]
            else:
                made["metadata"]["resourceVersion"] = str(old.revision)
            return code, self._body(encode_body(self._resource, made))
        return code, self._body(storage.put(collection, obj).body)

    def _remove(self, record: Record, last: Object | None = None) -> Answer:
        """Deletes an object; `last` is its state if a write without finalizers deletes it."""
        if not self._dry_run:
            record = self._storage.delete(self._collection, record.key)
        if last is not None:
            return 200, self._body(encode_body(self._resource, last))
        if self._resource.name == "v1/pods":  # whose deletion answers with the object
            return 200, self._body(record.body)
        return 200, dumps(_status.deleted(self._resource, record.name, record.uid)) + b"\n"

    # Checks

    def _decoded(self, kind: type) -> Any:
        try:
            found: Any = msgspec.json.decode(self._request.body, type=kind)
        except msgspec.DecodeError as error:
            raise _status.bad_request(f"error decoding the body: {error}") from None
        if self._dry_run not in (None, "All"):
            kind_name = _OPTIONS.get(self._request.verb, "PatchOptions")
            message = f'Unsupported value: ["{self._dry_run}"]: supported values: "All"'
            raise _status.invalid(("dryRun", "FieldValueNotSupported", message), kind=kind_name)
        return found

    def _checked(self, obj: Object) -> Object:
        """Checks kind, apiVersion and namespace; returns the metadata of the object."""
        resource, metadata = self._resource, obj.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise _status.bad_request("metadata must be an object")
        if resource.custom and not obj.get("kind"):
            raise _status.bad_request("the object provided is unrecognized: Object 'Kind' is missing")
        if obj.get("apiVersion", "" if resource.custom else resource.api_version) != resource.api_version:
            message = f"the API version in the data ({obj.get('apiVersion', '')}) does not match the expected"
            raise _status.bad_request(f"{message} API version ({resource.api_version})")
        if obj.get("kind", resource.kind) != resource.kind:
            message = f"{obj['kind']} cannot be handled as a {resource.kind}"
            if resource.custom:
                message = f'Invalid value: "{obj["kind"]}": must be {resource.kind}'
                raise self._invalid(metadata.get("name", ""), "kind", "FieldValueInvalid", message)
            raise _status.bad_request(message)
        if metadata.get("namespace") not in (None, "", self._request.namespace):
            raise _status.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        obj["metadata"] = dict(metadata)
        checked: Object = obj["metadata"]
        return checked

    def _check_name(self, metadata: Object) -> None:
        name = metadata.get("name") or self._request.name
        if name != self._request.name:
            message = f"the name of the object ({name}) does not match the name on the URL ({self._request.name})"
            raise _status.bad_request(message)

    def _check_version(self, metadata: Object, record: Record) -> None:
        version = metadata.get("resourceVersion") or str(record.revision)
        if not version.isdecimal():
            raise _status.unreadable_version(f'strconv.ParseUint: parsing "{version}": invalid syntax')
        if version != str(record.revision):
            raise _status.conflict(self._resource, record.name)

    def _check_uid(self, metadata: Object, uid: str) -> None:
        if metadata.get("uid") not in (None, "", uid):
            message = f'Invalid value: "{metadata["uid"]}": field is immutable'
            raise self._invalid(self._request.name or "", "metadata.uid", "FieldValueInvalid", message)

    def _key(self) -> str:
        name = self._request.name or ""
        return f"{self._request.namespace}/{name}" if self._request.namespace else name

    def _find(self) -> Record:
        record = self._collection.records.get(self._key())
        if record is None:
            raise _status.no_such_object(self._resource, self._request.name or "")
        return record

    def _invalid(self, name: str, field: str, reason: str, message: str) -> _status.Refusal:
        return _status.invalid_object(self._resource, name, field, reason, message)

    # Answers

    def _whole(self, record: Record) -> Object:
        whole: Object = msgspec.json.decode(watch_form(self._resource, record.body))
        return whole

    def _body(self, body: bytes) -> bytes:
        return watch_form(self._resource, body) + b"\n"


def _content(status: bool, obj: Object) -> Object:
    """Returns the members whose changes the generation counts."""
    others = ("apiVersion", "kind", "metadata", *(("status",) if status else ()))
    return {name: value for name, value in obj.items() if name not in others}
