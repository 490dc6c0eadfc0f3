"""What an XMP packet says of time and camera."""

from __future__ import annotations

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_EXIF, _EXIF_MORE = "{http://ns.adobe.com/exif/1.0/}", "{http://cipa.jp/exif/1.0/}"
_TIFF, _LENS = "{http://ns.adobe.com/tiff/1.0/}", "{http://ns.adobe.com/exif/1.0/aux/}"

# The time at which a picture was made digital, such as a scan, is another one.
TIMES = (_EXIF + "DateTimeOriginal", "{http://ns.adobe.com/photoshop/1.0/}DateCreated")
MAKE, MODEL = (_TIFF + "Make",), (_TIFF + "Model",)
SERIAL = (_EXIF_MORE + "BodySerialNumber", _LENS + "SerialNumber")

_WANTED = frozenset((*TIMES, *MAKE, *MODEL, *SERIAL))


def read_packet(packet: bytes) -> dict[str, str]:
    """The texts of those properties above that a packet has, by name; empty if it is broken.

    Only what it says of the photo itself counts: it may hold the packets of other photos that went into this one.
    """
    packet = packet[: packet.rfind(b">") + 1].lstrip(b"\0 \t\r\n")  # behind it stand blanks, and sometimes rubbish
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:  # XMP has none; they are how XML is made to grow
        return {}
    from xml.etree import ElementTree  # only for photos that have XMP

    try:
        root = ElementTree.fromstring(packet)
    except Exception:  # unknown encodings raise others than what is not XML
        return {}
    rdf = next(root.iter(_RDF + "RDF"), None)
    found: dict[str, str] = {}
    for description in [] if rdf is None else rdf.findall(_RDF + "Description"):
        said = dict(description.attrib)
        said.update({each.tag: each.text or "" for each in description})
        for name in _WANTED & said.keys():
            found.setdefault(name, said[name].strip("\0 \t\r\n"))
    return found


def first(said: dict[str, str], names: tuple[str, ...]) -> str:
    """The first of some properties that has a text; empty if none has."""
    return next((said[name] for name in names if said.get(name)), "")
