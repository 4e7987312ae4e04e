"""Makes ringmaster.json.5 from its template and the schema: fill_in_keys.py TEMPLATE SCHEMA OUTPUT.

The schema knows every key with its description, default and kind; a page written by hand would say something else soon.
"""

import json
import pathlib
import sys


def roff(text):
    """`text` as it is shown: no escapes, no request at the start of a line, hyphens that can be searched for."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def word(text):
    """One argument of a macro."""
    return '"' + roff(text).replace('"', '""') + '"'


class Page:
    def __init__(self, schema):
        self.schema = schema
        self.lines = []

    def resolved(self, node):
        if "$ref" not in node:
            return node
        definition = self.schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        return {**definition, **node}

    def kind(self, node):
        if "$ref" in node:
            name = node["$ref"].rsplit("/", 1)[1]
            if name != "timeouts":
                return name
        node = self.resolved(node)
        if "enum" in node:
            return " | ".join(json.dumps(choice) for choice in node["enum"])
        if "anyOf" in node:
            return " | ".join(self.kind(choice) for choice in node["anyOf"])
        if "const" in node:
            return json.dumps(node["const"])
        return node.get("type", "value")

    def entry(self, path, node):
        kind = self.kind(node)
        self.lines.append(f".It Va {word(path)} Pq {word(kind)}")
        description = node.get("description") or self.resolved(node).get("description", "")
        if description:
            self.lines.append(roff(description))
        if "default" in node:
            self.lines.append(f"Default: {roff(json.dumps(node['default']))}.")

    def walk(self, node, path=""):
        node = self.resolved(node)
        for key, member in node.get("properties", {}).items():
            member_path = f"{path}.{key}" if path else key
            self.entry(member_path, member)
            self.walk(member, member_path)
        items = node.get("items")
        if items and "properties" in self.resolved(items):
            self.walk(items, path + "[]")

    def types(self):
        self.lines = []
        for name, definition in self.schema["$defs"].items():
            if name == "timeouts":
                continue
            self.lines.append(f".It Em {name}")
            self.lines.append(roff(definition["description"]))
        return "\n".join(self.lines)

    def keys(self):
        self.lines = []
        self.walk(self.schema)
        return "\n".join(self.lines)


def main():
    template, schema, output = (pathlib.Path(argument) for argument in sys.argv[1:])
    page = Page(json.loads(schema.read_text()))
    text = template.read_text().replace("@TYPES@", page.types()).replace("@KEYS@", page.keys())
    output.write_text(text)


if __name__ == "__main__":
    main()
