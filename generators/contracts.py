"""JSON Schemas of documents that are not written down as classes, drawn from documents themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Schema = dict[str, Any]
_BY_MODEL = {"weights"}
"""Members whose own members are named as models are."""
_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number"}


def schema_of(document: Any) -> Schema:
    """Return what a document shows of its form; what is null or empty shows nothing."""
    if document is None:
        return {"type": ["null"]}
    if isinstance(document, dict):
        members = {name: _map(value) if name in _BY_MODEL else schema_of(value) for name, value in document.items()}
        return {"type": ["object"], "properties": members, "required": sorted(members)}
    if isinstance(document, list):
        return {"type": ["array"], "items": together(map(schema_of, document))}
    return {"type": [_NAMES[type(document)]]}


def _map(document: dict[str, Any]) -> Schema:
    return {"type": ["object"], "additionalProperties": together(map(schema_of, document.values()))}


def together(schemas: Iterable[Schema]) -> Schema:
    """Return the schema of whatever keeps to one of the schemas."""
    made: Schema = {}
    for schema in schemas:
        made = _both(made, schema) if made else schema
    return made


def open_where_null(schema: Any) -> Any:
    """Return a schema in which what was null in all documents may be anything."""
    if isinstance(schema, list):
        return [open_where_null(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {} if schema.get("type") == ["null"] else {name: open_where_null(each) for name, each in schema.items()}


def strict(schema: Any) -> Any:
    """Return a schema that allows no members but those that it names: a new one is to be written down."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(each) for name, each in schema.items()}
    return made | {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else made


def _both(a: Schema, b: Schema) -> Schema:
    if not a or not b:
        return a or b
    types = sorted({*a["type"], *b["type"]})
    if "number" in types and "integer" in types:
        types.remove("integer")
    made: Schema = {"type": types}
    if "properties" in a and "properties" in b:
        names = [*a["properties"], *(name for name in b["properties"] if name not in a["properties"])]
        made["properties"] = {
            name: _both(a["properties"].get(name, {}), b["properties"].get(name, {})) for name in names
        }
        made["required"] = sorted({*a["required"]} & {*b["required"]})
    elif "properties" in a or "properties" in b:
        with_members = a if "properties" in a else b
        made |= {key: with_members[key] for key in ("properties", "required")}
    for each in ("items", "additionalProperties"):
        if each in a or each in b:
            made[each] = _both(a.get(each, {}), b.get(each, {}))
    return made
