"""Object code of x86-64 Linux brought into memory without LLVM, whose import takes longer.

An object in ELF has sections (code, constants), symbols (a place in a section, with a
name) and relocations (four bytes of a section that are to hold the distance to a
symbol). Laid out one after the other, with the distances filled in, the sections run
wherever they lie. What is not understood here, such as a function that lives outside,
is left to LLVM. Names of fields and values are those of the System V ABI, its AMD64
supplement, chapter 4.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import sys
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

HEADER = struct.Struct("<7s9xHH20xQ10xHH2x")  # magic, type, machine, sections: where, size, number
OBJECT = b"\x7fELF\2\1\1", 1, 62  # 64 bits, little endian; ET_REL; EM_X86_64
SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<i8")]
    + [("size", "<i8")]
)
RELOCATION = np.dtype([("offset", "<i8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])

NULL, PROGBITS, SYMTAB, STRTAB, RELA, UNWIND = 0, 1, 2, 3, 4, 0x70000001  # types of sections
ALLOC, PLAIN = 0x2, 0x2 | 0x4 | 0x10 | 0x20  # flags: in memory; that, code, mergeable, strings
GLOBAL_FUNCTION = 0x12
PC32, PLT32 = 2, 4  # types of relocations: one and the same where nothing lies outside
LONGEST = 8  # bytes by which an instruction's end may lie behind where a distance is put


class Section(NamedTuple):
    """An entry of the table of sections."""

    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry: int


@dataclass(frozen=True)
class Image:
    """Machine code that runs wherever it lies, from the start of a page.

    Attributes:
        code: instructions and constants.
        functions: where in it each function begins.
    """

    code: bytes
    functions: dict[str, int]


class _UnknownError(Exception):
    """Something that is not understood here."""


def _expect(condition: object) -> None:
    if not condition:
        raise _UnknownError


def link(objects: bytes) -> Image | None:
    """The image of an ELF object; None where it holds anything that is not understood here."""
    try:
        sections = _sections(objects)
        starts, code = _lay_out(objects, sections)
        tables = [i for i, s in enumerate(sections) if s.type == SYMTAB]
        _expect(len(tables) == 1)
        symbols = _entries(objects, sections[tables[0]], SYMBOL)
        places = _places(symbols, sections, starts)
        for section in sections:
            if section.type == RELA and starts[section.info] >= 0:
                _expect(section.link == tables[0])
                entries = _entries(objects, section, RELOCATION)
                _relocate(code, entries, starts[section.info], sections[section.info], places)
        names = _bytes(objects, sections[sections[tables[0]].link])
        functions = np.flatnonzero((symbols["info"] == GLOBAL_FUNCTION) & (places >= 0))
        found = {_name(names, symbols["name"][i]): int(places[i]) for i in functions}
        return Image(code.tobytes(), found) if found else None
    except _UnknownError:
        return None


def _sections(objects: bytes) -> list[Section]:
    _expect(len(objects) >= HEADER.size)
    *kind, start, size, number = HEADER.unpack_from(objects)
    _expect(tuple(kind) == OBJECT and size == SECTION.size)
    _expect(number and start + number * size <= len(objects))
    table = objects[start : start + number * size]
    sections = [Section(*fields) for fields in SECTION.iter_unpack(table)]
    for section in sections:
        _expect(section.type in (NULL, PROGBITS, SYMTAB, STRTAB, RELA, UNWIND))
        _expect(section.offset + section.size <= len(objects))
        _expect(section.link < number)
        _expect(section.info < number or section.type == SYMTAB)
    return sections


def _lay_out(objects: bytes, sections: list[Section]) -> tuple[np.ndarray, np.ndarray]:
    """Where each section begins in the image, -1 for those left out; the image."""
    starts = np.full(len(sections), -1)
    code = bytearray()
    for i, section in enumerate(sections):
        if section.flags & ALLOC and section.type != UNWIND:  # nothing is ever thrown
            _expect(section.type == PROGBITS and section.flags & ~PLAIN == 0)
            _expect(section.alignment in (2**n for n in range(13)))  # at most a page
            code += bytes(-len(code) % section.alignment)
            starts[i] = len(code)
            code += _bytes(objects, section)
    _expect(len(code) < 2**31)
    return starts, np.frombuffer(code, np.uint8)


def _places(symbols: np.ndarray, sections: list[Section], starts: np.ndarray) -> np.ndarray:
    """Where each symbol lies in the image; -1 for those that do not."""
    home = np.where(symbols["section"] < len(sections), symbols["section"], 0)
    sizes = np.array([s.size for s in sections])[home]
    inside = (starts[home] >= 0) & (symbols["value"] >= 0) & (symbols["value"] < sizes)
    return np.where(inside, starts[home] + symbols["value"], -1)


def _relocate(
    code: np.ndarray, entries: np.ndarray, start: int, section: Section, places: np.ndarray
) -> None:
    """Put distances to symbols, which lie at `places`, into the section that begins at `start`."""
    offset = entries["offset"]
    _expect(np.all((offset >= 0) & (offset <= section.size - 4)))
    _expect(np.all((entries["type"] == PC32) | (entries["type"] == PLT32)))
    _expect(np.all(entries["symbol"] < len(places)))
    goals = places[entries["symbol"]]
    ends = goals + entries["addend"]
    _expect(np.all((goals >= 0) & (ends >= -LONGEST) & (ends < len(code))))
    distances = (ends - (start + offset)).astype("<i4")
    code[(start + offset)[:, None] + np.arange(4)] = distances.view(np.uint8).reshape(-1, 4)


def _bytes(objects: bytes, section: Section) -> bytes:
    return objects[section.offset : section.offset + section.size]


def _entries(objects: bytes, section: Section, form: np.dtype) -> np.ndarray:
    found = _bytes(objects, section)
    _expect(found and len(found) % form.itemsize == 0)
    return np.frombuffer(found, form)


def _name(names: bytes, start: int) -> str:
    end = names.find(0, start)
    _expect(end >= 0)
    return names[start:end].decode("latin-1")


class Mapping:
    """An image in memory, to be read and run; the memory is released with this object.

    Args:
        image: what to put there.

    Raises:
        OSError: the system lets no process make code.
    """

    def __init__(self, image: Image) -> None:
        self._functions = image.functions
        self._memory = mmap.mmap(-1, len(image.code), flags=mmap.MAP_PRIVATE)
        self._memory.write(image.code)
        self._start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        protect(self._start, len(image.code), mmap.PROT_READ | mmap.PROT_EXEC)

    def address(self, name: str) -> int:
        """Where a function begins; 0 if there is none of that name."""
        return self._start + self._functions[name] if name in self._functions else 0


def protect(start: int, size: int, rights: int) -> None:
    """Say what may be done with memory from now on."""
    mprotect = ctypes.CDLL(None, use_errno=True).mprotect
    mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    if mprotect(start, size, rights):
        raise OSError(ctypes.get_errno(), "mprotect does not allow it")


def load(objects: bytes) -> Mapping | None:
    """Object code in memory; None where LLVM's loader is needed."""
    if sys.platform != "linux":
        return None
    image = link(objects)
    if image is None:
        return None
    try:
        return Mapping(image)
    except OSError:
        return None
