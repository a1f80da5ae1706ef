# SPDX-License-Identifier: MIT
"""Keys and tensors of a GGUF file (little-endian) taken away, keys added; the rest stays byte for byte."""

import struct

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9
F32 = 0
FORMATS = {"u32": (4, "<I", int), "i32": (5, "<i", int), "f32": (6, "<f", float), "bool": (7, "<B", int)}


class Model:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        magic, self.version, tensors, keys = struct.unpack_from("<4sIQQ", self.data)
        assert magic == b"GGUF"
        at = 24
        self.records = {}
        for _ in range(keys):
            begin = at
            key, at = self._string(at)
            at = self._skip(at + 4, struct.unpack_from("<I", self.data, at)[0])
            self.records[key] = self.data[begin:at]
        self.tensors = {}  # name: its row of the table
        for _ in range(tensors):
            begin = at
            name, at = self._string(at)
            dims = struct.unpack_from("<I", self.data, at)[0]
            at += 4 + 8 * dims + 12
            self.tensors[name] = self.data[begin:at]
        self.alignment = self.number("general.alignment") or 32
        self.body = self.data[-(-at // self.alignment) * self.alignment :]

    def _string(self, at):
        size = struct.unpack_from("<Q", self.data, at)[0]
        return self.data[at + 8 : at + 8 + size].decode(), at + 8 + size

    def _skip(self, at, kind):
        if kind == STRING:
            return self._string(at)[1]
        if kind != ARRAY:
            return at + SIZES[kind]
        element, count = struct.unpack_from("<IQ", self.data, at)
        at += 12
        if element in SIZES:
            return at + SIZES[element] * count
        for _ in range(count):
            at = self._skip(at, element)
        return at

    def _value(self, key):
        record = self.records[key]
        at = 8 + len(key.encode())
        return struct.unpack_from("<I", record, at)[0], record[at + 4 :]

    def number(self, key):
        if key not in self.records:
            return None
        kind, raw = self._value(key)
        for code, form, _ in FORMATS.values():
            if code == kind:
                return struct.unpack(form, raw)[0]
        return None

    @property
    def architecture(self):
        return self._value("general.architecture")[1][8:].decode()

    def set_floats(self, tensors):
        """Makes all tensors F32; `tensors` has the bytes of each by its name."""
        body = b""
        for name, row in self.tensors.items():
            self.tensors[name] = row[:-12] + struct.pack("<IQ", F32, len(body))
            body += tensors[name] + b"\0" * (-len(tensors[name]) % self.alignment)
        self.body = body

    def write(self, path, without=None, typed=None):
        """`typed`: (key, type, values separated by commas); a type with [] behind it is an array."""
        records = [record for key, record in self.records.items() if key != without]
        if typed:
            key, kind, text = typed
            head = struct.pack("<Q", len(key.encode())) + key.encode()
            name = kind.removesuffix("[]")
            if name == "string":
                value = struct.pack("<IQ", STRING, len(text)) + text.encode()
            else:
                code, form, parse = FORMATS[name]
                numbers = b"".join(struct.pack(form, parse(number)) for number in text.split(","))
                array = struct.pack("<IIQ", ARRAY, code, len(text.split(","))) if kind != name else struct.pack("<I", code)
                value = array + numbers
            records.append(head + value)
        self._write(path, records, self.tensors.values(), self.body)

    def write_without_tensors(self, path, unwanted):
        """Without the tensors whose name `unwanted` is true of; those behind them move forward."""
        ends = sorted(offset_of(row) for row in self.tensors.values()) + [len(self.body)]
        rows = []
        body = b""
        for name, row in sorted(self.tensors.items(), key=lambda item: offset_of(item[1])):
            if unwanted(name):
                continue
            begin = offset_of(row)
            data = self.body[begin : ends[ends.index(begin) + 1]]
            rows.append(row[:-8] + struct.pack("<Q", len(body)))
            body += data + b"\0" * (-len(data) % self.alignment)
        self._write(path, self.records.values(), rows, body)

    def _write(self, path, records, rows, body):
        out = struct.pack("<4sIQQ", b"GGUF", self.version, len(rows), len(records)) + b"".join(records) + b"".join(rows)
        out += b"\0" * (-len(out) % self.alignment)
        with open(path, "wb") as file:
            file.write(out + body)


def offset_of(row):
    return struct.unpack("<Q", row[-8:])[0]
