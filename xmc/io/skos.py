"""SKOS, the vocabularies of the Semantic Web, read by rdflib: the extra xmc-trees[skos]."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.parsers import expat

from ..errors import DataError, shortened
from .blocks import read_bytes
from .files import FilePath, source_name
from .vocabularies import Entries

PARSERS = {"ttl": "turtle", "rdf": "xml", "nt": "nt", "jsonld": "json-ld"}
LABELS = ("prefLabel", "altLabel", "hiddenLabel")  # in the order of KINDS
LONGEST_ENTITY = 200  # characters of an address that RDF/XML gives a short name


def read_skos(path: FilePath, format: str) -> Entries:
    """The concepts of a SKOS file by their addresses, with labels, broader and narrower.

    RDF has no order, so names come sorted. Raises DataError if the file is no RDF, or no SKOS.
    """
    name = source_name(path)
    try:
        from rdflib.namespace import SKOS
    except ImportError:
        needs = "reading SKOS needs rdflib: pip install xmc-trees[skos]"
        raise DataError(f"{name}: {needs}") from None
    graph = _parsed(bytes(read_bytes(path)), format, name)
    if (None, SKOS.prefLabel, None) not in graph:
        raise DataError(f"{name}: expected SKOS, got RDF without any skos:prefLabel")
    entries = Entries()
    concepts = _concepts(graph, entries)
    for kind, label in enumerate(LABELS):
        for concept, language, text in _labels(graph, SKOS[label], concepts):
            entries.add(concept, text, kind, language)
    _note(entries, len(concepts - entries.concepts.keys()), "concepts without a name")
    narrower = ((b, a) for a, b in graph.subject_objects(SKOS.narrower))
    pairs = {(str(a), str(b)) for a, b in (*graph.subject_objects(SKOS.broader), *narrower)}
    entries.broader = sorted(pair for pair in pairs if pair[0] in entries.concepts)
    return entries


def _parsed(content: bytes, format: str, name: str) -> Any:
    """The graph. Contexts of JSON-LD that lie elsewhere are refused, or rdflib would fetch them."""
    from rdflib import Graph

    graph = Graph(bind_namespaces="none")
    try:
        if format == "jsonld" and _is_fetching(json.loads(content)):
            where = "one that lies elsewhere, which is not fetched"
            raise DataError(f"{name}: expected a @context in the file, got {where}")
        if format == "rdf":
            _check_entities(content)
        with _silent():
            graph.parse(data=content, format=PARSERS[format])
    except DataError:
        raise
    except Exception as error:  # each of rdflib's parsers has errors of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        reason = reason.partition(" at ^ in:")[0]  # what follows are bytes of the file
        raise DataError(f"{name}: expected {PARSERS[format]}: {shortened(reason)}") from None
    return graph


@contextmanager
def _silent() -> Iterator[None]:
    """Without what rdflib logs of addresses and numbers that it takes as they are."""
    log = logging.getLogger("rdflib")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def _check_entities(content: bytes) -> None:
    """Raise ValueError if an XML file names long entities, or such as hold others.

    A kilobyte of those can stand for gigabytes. The short ones of addresses are usual in RDF.
    """

    def declare(name: str, is_parameter: bool, value: str | None, *rest: Any) -> None:
        if value is not None and ("&" in value or len(value) > LONGEST_ENTITY):
            raise ValueError(f"the entity {name[:40]} is too long or holds others")

    def start(*_: Any) -> None:
        raise StopIteration

    parser = expat.ParserCreate()
    parser.EntityDeclHandler, parser.StartElementHandler = declare, start
    try:
        parser.Parse(content, True)
    except StopIteration:  # where the first element starts, all is declared
        pass


def _is_fetching(found: Any) -> bool:
    """Whether a JSON-LD value names a context by an address."""
    if isinstance(found, list):
        return any(map(_is_fetching, found))
    if not isinstance(found, dict):
        return False
    context = found.get("@context", [])
    contexts = context if isinstance(context, list) else [context]
    return (
        any(isinstance(one, str) for one in contexts)
        or "@import" in found
        or any(map(_is_fetching, found.values()))
    )


def _concepts(graph: Any, entries: Entries) -> set[str]:
    """Addresses of what is a skos:Concept, or has a skos:prefLabel where nothing is one."""
    from rdflib import Literal, URIRef
    from rdflib.namespace import OWL, RDF, SKOS

    typed = set(graph.subjects(RDF.type, SKOS.Concept))
    found = typed or set(graph.subjects(SKOS.prefLabel, None))
    gone = set(graph.subjects(OWL.deprecated, Literal(True)))
    _note(entries, len(found & gone), "deprecated concepts")
    _note(entries, sum(not isinstance(one, URIRef) for one in found), "concepts without an address")
    return {str(one) for one in found - gone if isinstance(one, URIRef)}


def _labels(graph: Any, label: Any, concepts: set[str]) -> list[tuple[str, str, str]]:
    """Concept, language and text of every label of this kind, sorted."""
    found = (
        (str(a), getattr(b, "language", None), str(b)) for a, b in graph.subject_objects(label)
    )
    return sorted((a, (code or "").lower(), text) for a, code, text in found if a in concepts)


def _note(entries: Entries, number: int, what: str) -> None:
    if number:
        entries.notices.append(f"{what}: {number:,}; they are left out")
