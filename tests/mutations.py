"""Bad input made of good input: JSON, text, and the bytes of images, changed at random. One seed, one result."""

from __future__ import annotations

import copy
import io
import json
import struct
import zlib
from functools import lru_cache
from random import Random
from typing import Any

from PIL import Image, ImageDraw, PngImagePlugin

# What stands for a text that `json.dumps` would not write.
RAW = {
    "@huge@": "9" * 5000,
    "@infinite@": "1e999",
    "@deep@": "[" * 100_000 + "]" * 100_000,
    "@surrogate@": '"\\ud800"',
    "@broken@": "nul",
}
# fmt: off
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 255, 2**31, 2**63, -(2**63), 2**64, 10**400, 0.5, -0.0, 1e308, 1e-320,
    float("nan"), float("inf"), "", " ", ".", "..", "/", "a.jpg", "A.JPG", "b.jpg", "0.jpg", "../o.jpg",
    "../outside/o.jpg", "/@home@/outside/o.jpg", "/@home@/outside", "/@home@", "/@home@/photos/a.jpg", "sub/a.jpg",
    "photos", "a.jpg/", "~", "$HOME", "-rf", "--apply", "*", "CON.jpg", "nul", "a.jpg ", "a.jpg.", ".hidden.jpg",
    ".imgorder-", ".imgorder-20240501-120000-abcdef.jsonl", ".imgorder-20240501-120000-abcdef-000000", "a\0b.jpg",
    "two\nlines.jpg", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b31m", "\u202egpj.a", "é.jpg", "e\u0301.jpg",
    "ß", "\U0001f4f7.jpg", "\u2028", "x" * 255, "x" * 256, "x" * 5000, "é" * 200, "{index}", "{", "%s", "%n%n", [], {},
    [[]], {"": {}}, ["a.jpg"], ["a.jpg", "a.jpg"], "rename", "stamp", "undo", "done", "begun", "2024-13-01", "path",
    "tridab-s", "nobody/nothing", "0" * 40, "a.onnx", "a.pt", "../a.onnx", *RAW,
)
# fmt: on


# What somebody would write who means harm: terminal sequences, and ways to other folders.
HOSTILE = (
    "\x1b[2J\x1b[31mred", "\x1b]0;title\x07", "\x9b31m", "a\r\nimgorder: error: all is well", "\u202egpj.exe", "a\0b",
    "../o.jpg", "../outside/o.jpg", "/@home@/outside/o.jpg", "/@home@/outside", "..", ".hidden.jpg", ".hidden",
    "sub/../../o.jpg", "b.jpg", "a.exe", "photos/../../outside/a.jpg", "/dev/null", "/dev/zero",
)  # fmt: skip


def odd(random: Random) -> Any:
    """A value that is seldom right."""
    return copy.deepcopy(random.choice(ODD))


def mutate_value(random: Random, value: Any) -> Any:
    """A JSON value with some changes somewhere inside."""
    value = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        places = list(_places(value))
        if not places:
            return odd(random)
        texts = [(holder, key) for holder, key in places if isinstance(holder[key], str)]
        if texts and random.random() < 0.25:
            holder, key = random.choice(texts)
            holder[key] = random.choice(HOSTILE)
            continue
        holder, key = random.choice(places)
        _change(random, holder, key, [holder[key] for holder, key in places])
    return value


def _places(value: Any) -> Any:
    """All (holder, key or index) in a value."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _change(random: Random, holder: Any, key: Any, others: list[Any]) -> None:
    old = holder[key]
    way = random.randrange(9)
    if way <= 2:
        holder[key] = odd(random)
    elif way == 3:
        holder[key] = copy.deepcopy(random.choice(others))
    elif way == 4:
        del holder[key]
    elif way == 5 and isinstance(holder, list):
        holder.insert(random.randrange(len(holder) + 1), copy.deepcopy(random.choice((old, *others))))
    elif way == 5:
        holder[str(odd(random))] = holder.pop(key) if random.random() < 0.5 else odd(random)
    elif isinstance(old, str) and old:
        at = random.randrange(len(old))
        piece = random.choice(("", "\0", "/", "..", "\n", "\x1b", "é", old, old[at], chr(random.randrange(1, 0x3000))))
        holder[key] = old[:at] + piece + old[at + random.randrange(2) :]
    elif isinstance(old, int | float) and abs(old) < 1e300:
        holder[key] = random.choice((-old, old + 1, old - 1, old * 2**32, old / 3, float(old), str(old), not old))
    elif isinstance(old, list):
        random.shuffle(old)
    else:
        holder[key] = [old]


def write_json(random: Random, value: Any, **options: Any) -> bytes:
    """A JSON text, at times broken as text too."""
    text = json.dumps(value, **options)
    for name, raw in RAW.items():
        text = text.replace(f'"{name}"', raw)
    data = text.encode("utf-8", "surrogatepass")
    return mutate_text(random, data) if random.random() < 0.15 else data


def mutate_text(random: Random, data: bytes) -> bytes:
    """A text that is cut, doubled, encoded otherwise, or has wrong bytes."""
    way = random.randrange(10)
    at = random.randrange(len(data) + 1)
    if way == 0:
        return data[:at]
    if way == 1:
        return random.choice((b"", b"\n", b"{}", b"[]", b"null", b"0", b'""', b"\xff\xfe", b"\0" * 100, b"PK\3\4"))
    if way == 2:
        return random.choice((b"\xef\xbb\xbf", b"\0", b" " * 10_000, b"\n", b"[", b"{")) + data
    if way == 3:
        return data + random.choice((b"\0", b"}", b",", data, b"x" * 10_000))
    if way == 4:
        return data.decode("utf-8", "replace").encode(random.choice(("utf-16", "utf-32", "utf-16-be")), "replace")
    if way == 5:
        return data.replace(b"\n", random.choice((b"\r\n", b"\r", b"")))
    return mutate_bytes(random, data)


def mutate_bytes(random: Random, data: bytes) -> bytes:
    """Some bytes changed, removed, put in, doubled or exchanged; most often near the beginning."""
    body = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        if not body:
            break
        reach = len(body) if random.random() < 0.5 else min(len(body), random.choice((16, 64, 512)))
        at = random.randrange(reach)
        long = min(len(body) - at, random.choice((1, 1, 2, 4, 8, 100)))
        way = random.randrange(7)
        if way == 0:
            body[at] ^= 1 << random.randrange(8)
        elif way == 1:
            body[at : at + long] = random.randbytes(long)
        elif way == 2:
            del body[at : at + long]
        elif way == 3:
            body[at:at] = body[at : at + long]
        elif way == 4:
            body[at : at + long] = random.choice((b"\xff", b"\0", b"\x7f")) * long
        elif way == 5:
            number = random.choice((0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, len(data), random.getrandbits(32)))
            form = random.choice((">I", "<I", ">H", "<H"))
            packed = struct.pack(form, number if form.endswith("I") else number & 0xFFFF)
            body[at : at + len(packed)] = packed
        else:
            other = random.randrange(len(body))
            body[at : at + long], body[other : other + long] = body[other : other + long], body[at : at + long]
    return bytes(body) if random.random() < 0.85 else bytes(body[: random.randrange(len(body) + 1)])


@lru_cache
def images() -> dict[str, bytes]:
    """Small images of many kinds, by a name with its ending."""
    size = (48, 36)
    colour = Image.new("RGB", size, (40, 90, 160))
    ImageDraw.Draw(colour).ellipse((8, 6, 30, 28), fill=(220, 180, 40))
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a maker", 6
    exif.get_ifd(0x8769)[0x9003] = "2024:05:01 12:00:00"
    exif.get_ifd(0x8769)[0x9291] = "25"
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "<x/>", zip=True)
    text.add_text("Comment", "c" * 300)
    deep = Image.new("I;16", size, 30_000)
    clear = colour.convert("RGBA")
    clear.putalpha(100)
    kinds: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "plain.jpg": (colour, "JPEG", {}),
        "exif.jpg": (colour, "JPEG", {"exif": exif, "icc_profile": b"i" * 200, "comment": "c"}),
        "progressive.jpg": (colour, "JPEG", {"progressive": True, "exif": exif}),
        "cmyk.jpg": (colour.convert("CMYK"), "JPEG", {}),
        "grey.jpeg": (colour.convert("L"), "JPEG", {"exif": exif}),
        "plain.png": (colour, "PNG", {"pnginfo": text, "exif": exif}),
        "palette.png": (colour.convert("P"), "PNG", {"transparency": 3}),
        "deep.png": (deep, "PNG", {}),
        "clear.png": (clear, "PNG", {}),
        "one.png": (colour.convert("1"), "PNG", {}),
        "plain.tif": (colour, "TIFF", {}),
        "lzw.tiff": (colour, "TIFF", {"compression": "tiff_lzw"}),
        "deflate.tif": (colour, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "jpeg.tif": (colour, "TIFF", {"compression": "jpeg"}),
        "plain.webp": (colour, "WEBP", {"exif": exif}),
        "lossless.webp": (clear, "WEBP", {"lossless": True}),
        "plain.bmp": (colour, "BMP", {}),
        "plain.gif": (colour.convert("P"), "GIF", {}),
        "plain.avif": (colour, "AVIF", {}),
    }
    made = {}
    for name, (image, kind, options) in kinds.items():
        stream = io.BytesIO()
        try:
            image.save(stream, kind, **options)
        except (OSError, KeyError):  # a Pillow without this kind
            continue
        made[name] = stream.getvalue()
    return made


def mutate_image(random: Random, data: bytes) -> bytes:
    """An image with wrong bytes, or whose chunks or segments are wrong but well-formed."""
    way = random.random()
    if way < 0.3 and data.startswith(b"\x89PNG"):
        return _mutate_png(random, data)
    if way < 0.5 and data.startswith(b"\xff\xd8"):
        return _mutate_jpeg(random, data)
    return mutate_bytes(random, data)


def _mutate_png(random: Random, data: bytes) -> bytes:
    """Chunks changed, left out, doubled, or elsewhere; their checksums are right, so that a reader goes on."""
    chunks = []
    at = 8
    while at + 8 <= len(data):
        (long,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + long]))
        at += 12 + long
    _mutate_parts(random, chunks)
    body = b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part)) for kind, part in chunks
    )
    return data[:8] + body


def _mutate_jpeg(random: Random, data: bytes) -> bytes:
    """Segments changed, left out, doubled, or elsewhere; their lengths are right."""
    parts = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        (long,) = struct.unpack(">H", data[at + 2 : at + 4])
        parts.append((data[at : at + 2], data[at + 4 : at + 2 + long]))
        at += 2 + long
    _mutate_parts(random, parts)
    stray = random.choice((b"", b"", b"", b"\xff\xff", b"\0\0", b"stray"))
    body = b"".join(kind + struct.pack(">H", min(len(part) + 2, 0xFFFF)) + part[:0xFFFD] for kind, part in parts)
    return data[:2] + body + stray + data[at:]


def _mutate_parts(random: Random, parts: list[tuple[bytes, bytes]]) -> None:
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(len(parts)) if parts else 0
        way = random.randrange(6)
        if not parts:
            return
        kind, part = parts[at]
        if way <= 2:
            parts[at] = kind, mutate_bytes(random, part)
        elif way == 3:
            del parts[at]
        elif way == 4:
            parts.insert(random.randrange(len(parts) + 1), parts[at])
        else:
            parts[at] = parts[random.randrange(len(parts))][0], part
