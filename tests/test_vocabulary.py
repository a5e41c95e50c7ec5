"""Vocabularies: one value out of many kinds of files, and what is wrong in them, said clearly."""

import gzip
import json
import sys

import numpy as np
import pytest

from xmc import DataError, ParameterError, Vocabulary
from xmc.errors import ModelError
from xmc.io.folder import as_model_error, read_folder, write_folder
from xmc.vocabulary import split_qualifiers

BANK, MONEY, LOAN = (f"http://example.org/{name}" for name in ("bank", "money", "loan"))
TTL = """
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix : <http://example.org/> .
:scheme a skos:ConceptScheme ; skos:prefLabel "Everything"@en .
:money a skos:Concept ; skos:prefLabel "money"@en, "Geld"@de ; skos:narrower :bank .
:loan a skos:Concept ; skos:prefLabel "loan"@EN ; skos:broader :money, <http://elsewhere.org/x> .
:bank a skos:Concept ;
    skos:prefLabel "Bank (Geldinstitut)"@de, "bank"@en ;
    skos:altLabel "Kreditinstitut"@de, "Geldhaus"@de, "BNK" ;
    skos:hiddenLabel "banc"@en .
:old a skos:Concept ; skos:prefLabel "old"@en ; owl:deprecated true .
:nameless a skos:Concept .
"""
NAMES = [
    (BANK, "bank", "preferred", "en"),
    (BANK, "Bank (Geldinstitut)", "preferred", "de"),
    (BANK, "Geldhaus", "alternative", "de"),
    (BANK, "Kreditinstitut", "alternative", "de"),
    (BANK, "BNK", "alternative", None),
    (BANK, "banc", "hidden", "en"),
    (LOAN, "loan", "preferred", "en"),
    (MONEY, "money", "preferred", "en"),
    (MONEY, "Geld", "preferred", "de"),
]
BROADER = [(BANK, MONEY), (LOAN, MONEY)]
JSON_LINES = [
    {
        "id": BANK,
        "names": {"en": "bank", "de": ["Bank (Geldinstitut)", "Geldhaus", "Kreditinstitut"]},
        "alternative": {"": "BNK"},
        "hidden": {"en": ["banc"]},
        "broader": [MONEY],
    },
    {"id": MONEY, "names": {"en": ["money"], "de": "Geld"}},
    {"id": LOAN, "names": {"en": ["loan"]}, "broader": MONEY},
]


@pytest.fixture
def given(tmp_path, monkeypatch):
    """A function that writes a file into the working folder and returns its name."""
    monkeypatch.chdir(tmp_path)

    def write(name, text):
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if ".gz" in name else content)
        return name

    return write


@pytest.fixture
def banks():
    return Vocabulary.of(NAMES, BROADER)


def read(given, name, text):
    return Vocabulary.read(given(name, text))


def names(vocabulary, concept):
    """Whole names with kind and language."""
    return [(name.whole, name.kind, name.language) for name in vocabulary.all_names(concept)]


def skos(labels):
    return f"@prefix skos: <http://www.w3.org/2004/02/skos/core#> . <http://a/b> {labels} ."


# What a vocabulary answers


def test_the_columns_are_in_order(banks):
    assert banks.ids == [BANK, LOAN, MONEY]
    assert banks.languages == ["en", "de"]  # more concepts are named in English
    assert names(banks, BANK) == [row[1:] for row in NAMES[:6]]
    assert banks.name_concepts.tolist() == [0, 0, 0, 0, 0, 0, 1, 2, 2]
    assert banks.name_kinds.tolist() == [0, 0, 1, 1, 1, 2, 0, 0, 0]
    assert banks.name_languages.tolist() == [0, 1, 1, 1, -1, 0, 0, 0, 1]
    assert banks.broader_pairs.tolist() == [[0, 2], [1, 2]]
    assert banks.notices == ()


def test_the_order_of_languages_is_that_of_preferred_names_not_of_the_file(given):
    lines = "a\tfr\tun\na\tde\teins\nb\tde\tzwei\nc\ten\tthree\n"
    assert read(given, "v.tsv", lines).languages == ["de", "en", "fr"]


def test_len_in_and_repr(banks):
    assert (len(banks), BANK in banks, "bank" in banks) == (3, True, False)
    assert repr(banks) == "Vocabulary(3 concepts, 9 names)"


def test_names_fall_back_to_another_language_and_then_to_the_id(banks):
    ids = [MONEY, LOAN, "unknown", BANK]
    german = ["Geld", "loan", "unknown", "Bank (Geldinstitut)"]
    assert banks.names_of(ids, "de") == banks.names_of(iter(ids), "DE") == german
    assert banks.names_of(ids) == ["money", "loan", "unknown", "bank"]
    assert banks.names_of([]) == []


@pytest.mark.parametrize("language", [None, "en", "de"])
def test_one_preferred_name_is_that_of_many(banks, language):
    assert [banks.preferred(i, language) for i in banks.ids] == banks.names_of(banks.ids, language)


def test_a_concept_without_a_preferred_name_shows_its_id():
    vocabulary = Vocabulary.of([("a", "x", "alternative", None)])
    assert vocabulary.preferred("a") == "a" == vocabulary.names_of(["a"])[0]


def test_broader_and_narrower_are_one_step(banks):
    assert (banks.broader(BANK), banks.broader(MONEY)) == ([MONEY], [])
    assert (banks.narrower(MONEY), banks.narrower(BANK)) == ([BANK, LOAN], [])


def test_pairs_of_a_broader_one_are_places_among_the_ids_that_are_asked(banks):
    assert banks.broader_in([MONEY, "other", BANK]).tolist() == [[2, 0]]
    assert banks.broader_in([BANK, LOAN]).shape == (0, 2)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Bank (Geldinstitut)", ("Bank", "(Geldinstitut)")),
        ("Bank (Ufer) (Motiv)", ("Bank", "(Ufer) (Motiv)")),
        ("Bank", ("Bank", "")),
        ("f(x)", ("f(x)", "")),
        ("(alone)", ("(alone)", "")),
        ("a (b) c", ("a (b) c", "")),
        ("a (b (c))", ("a (b (c))", "")),
        ("a ()", ("a ()", "")),
    ],
)
def test_qualifiers_are_brackets_at_the_end(name, parts):
    assert split_qualifiers(name) == parts
    assert Vocabulary.of([("a", name, "preferred", None)]).preferred("a") == name


def test_splitting_a_name_full_of_brackets_takes_no_time():
    assert split_qualifiers("a" + " (b" * 300 + ")") == ("a" + " (b" * 299, "(b)")


def test_blanks_in_names_become_one(given):
    assert read(given, "v.tsv", "a\t  two \u00a0 words \r\n").preferred("a") == "two words"


@pytest.mark.parametrize("call", ["preferred", "all_names", "broader", "narrower"])
def test_an_unknown_id_is_named(banks, call):
    with pytest.raises(ParameterError) as error:
        getattr(banks, call)("x")
    assert str(error.value) == "Vocabulary: expected the id of a concept, got 'x'"


def test_a_language_that_no_name_has_is_refused(banks):
    for ask in (banks.names_of, lambda ids, language: banks.preferred(ids[0], language)):
        with pytest.raises(ParameterError) as error:
            ask([BANK], "fr")
        assert str(error.value) == "Vocabulary: language must be one of 'en', 'de', got 'fr'"


def test_a_language_is_refused_where_names_have_none():
    with pytest.raises(ParameterError) as error:
        Vocabulary.of([("a", "x", "preferred", None)]).names_of(["a"], "en")
    assert str(error.value) == "Vocabulary: language must be None here, got 'en'"


def test_a_kind_that_is_none_is_refused():
    with pytest.raises(ParameterError) as error:
        Vocabulary.of([("a", "x", "best", None)])
    kinds = "'preferred', 'alternative', 'hidden'"
    assert str(error.value) == f"Vocabulary: kind must be one of {kinds}, got 'best'"


def test_vocabularies_are_equal_by_what_they_hold(banks):
    assert banks == Vocabulary.of(NAMES[::-1][:-5] + NAMES[:5], BROADER[::-1])
    assert banks != Vocabulary.of(NAMES, BROADER[:1])
    assert banks != Vocabulary.of(NAMES[:-1], BROADER)
    assert banks != 3


# Kinds of files


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("suffix", ["ttl", "rdf", "nt", "jsonld"])
def test_every_form_of_skos_gives_the_same_value(given, banks, suffix, end):
    rdflib = pytest.importorskip("rdflib")
    format = {"ttl": "turtle", "rdf": "xml", "nt": "nt", "jsonld": "json-ld"}[suffix]
    graph = rdflib.Graph().parse(data=TTL, format="turtle")
    found = read(given, f"v.{suffix}{end}", graph.serialize(format=format))
    assert found == banks
    assert found.notices == (
        "deprecated concepts: 1; they are left out",
        "concepts without a name: 1; they are left out",
        "broader or narrower ids that are no concept here: 1; they are left out",
    )


def test_skos_without_types_is_known_by_its_preferred_labels(given):
    pytest.importorskip("rdflib")
    assert read(given, "v.ttl", skos('skos:prefLabel "b"')).names_of(["http://a/b"]) == ["b"]


def test_json_lines_give_the_same_value(given, banks):
    lines = [json.dumps(line) for line in JSON_LINES]
    assert read(given, "v.jsonl", "\n".join(lines)) == banks
    assert read(given, "v.jsonl.gz", "\n".join(lines[::-1])) == banks


def test_columns_with_a_language(given):
    found = read(given, "v.tsv", "b\tde\tB\na\ten\tone\na\tDE\teins\na\ten\tunit\na\t\t1\n")
    assert found.ids == ["a", "b"]
    assert names(found, "a") == [
        ("eins", "preferred", "de"),
        ("one", "preferred", "en"),
        ("1", "preferred", None),
        ("unit", "alternative", "en"),
    ]
    assert found.notices == ()


def test_columns_without_a_language(given):
    found = read(given, "v.tsv", "\ufeff<http://b>\tB\na\tone\na\tunit\na\tone\n")
    assert found.ids == ["a", "http://b"]
    assert names(found, "a") == [("one", "preferred", None), ("unit", "alternative", None)]
    later = "names after the preferred one of their language: 1, the first of 'a'"
    assert found.notices == (f"{later}; they are alternative",)


def test_a_list_of_labels_may_lack_names(given):
    found = read(given, "labels.txt", "a\tone\nb\nc\t\n")
    assert found.names_of("abc") == ["one", "b", "c"]
    assert len(found) == 3


def test_annifs_csv(given):
    rows = 'uri,notation,label_fi,label_en\n<http://x>,1.2,"yksi, kaksi",one\ny,,,two\nz,,,\n'
    found = read(given, "v.csv", rows)
    assert names(found, "http://x") == [
        ("one", "preferred", "en"),
        ("yksi, kaksi", "preferred", "fi"),
    ]
    assert found.names_of(["y", "z"], "fi") == ["two", "z"]


def test_the_format_may_be_given(given):
    assert Vocabulary.read(given("v.dat", "a\tone\n"), format="tsv").preferred("a") == "one"
    with pytest.raises(ParameterError, match="^format must be one of 'ttl', 'rdf', .* got 'xml'$"):
        Vocabulary.read("v.dat", format="xml")
    with pytest.raises(DataError) as error:
        Vocabulary.read("v.dat")
    ends = ".ttl, .rdf, .nt, .jsonld, .tsv, .txt, .csv or .jsonl"
    assert str(error.value) == f"v.dat: expected a name that ends in {ends}, got 'v.dat'"


# Faults


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("v.tsv", "", "v.tsv: expected at least one row, got an empty file"),
        ("v.tsv", "a\n", "v.tsv:1: expected id<TAB>name or id<TAB>language<TAB>name, got 'a'"),
        ("v.tsv", "a\tb\na\n", "v.tsv:2: expected id<TAB>name, got 'a'"),
        ("v.tsv", "a\tb\na\t \n", "v.tsv:2: expected id<TAB>name, got 'a\\t '"),
        ("v.tsv", "a\tb\n\tc\n", "v.tsv:2: expected id<TAB>name, got an empty id in '\\tc'"),
        ("v.tsv", "a\ten\tb\na\tb\n", "v.tsv:2: expected id<TAB>language<TAB>name, got 'a\\tb'"),
        ("v.tsv", "a\tA b\t7\n", "v.tsv:1: expected a language such as de or en-gb, got 'A b'"),
        ("v.tsv", b"a\tb\nb\t\xe4\n", "v.tsv:2: expected UTF-8, got byte 0xe4"),
        ("v.txt", "a\n\n", "v.txt:2: expected id<TAB>name, got an empty id in ''"),
        ("v.csv", "\n", "v.csv: expected at least one row, got an empty file"),
        ("v.csv", "uri,label_en\n", "v.csv: expected at least one concept, got none"),
        (
            "v.csv",
            "uri,label\n",
            "v.csv:1: expected the columns uri and label_LANGUAGE, such as label_en, "
            "got 'uri,label'",
        ),
        ("v.csv", "uri,label_en\na\n", "v.csv:2: expected 2 columns, got 1"),
        ("v.csv", "uri,label_en\n,a\n", "v.csv:2: expected an id, got an empty id in ''"),
        ("v.csv", "uri,label_en\na,b\na,c\n", "v.csv:3: expected an id that comes once, got 'a'"),
        ("v.csv", 'uri,label_en\na,"b\n', "v.csv:2: expected CSV, unexpected end of data"),
        ("v.csv", "uri,label_?\n", "v.csv:1: expected a language such as de or en-gb, got '?'"),
        ("v.jsonl", "[]\n", "v.jsonl:1: expected a JSON object, got '[]'"),
        ("v.jsonl", '{"id"\n', "v.jsonl:1: expected a JSON object, got '{\"id\"'"),
        ("v.jsonl", "{}\n", "v.jsonl:1: expected an \"id\" that is a text, got '{}'"),
        ("v.jsonl", '{"id": "a"}\n' * 2, "v.jsonl:2: expected an id that comes once, got 'a'"),
        (
            "v.jsonl",
            '{"id": "a", "name": "b"}\n',
            "v.jsonl:1: expected the keys id, names, alternative, hidden, broader, got 'name'",
        ),
        (
            "v.jsonl",
            '{"id": "a", "names": "b"}\n',
            'v.jsonl:1: names: expected an object such as {"en": ["name"]}',
        ),
        (
            "v.jsonl",
            '{"id": "a", "names": {"en": [1]}}\n',
            "v.jsonl:1: names: expected a text or a list of texts",
        ),
        (
            "v.jsonl",
            '{"id": "a", "hidden": {"en": ["b", ""]}}\n',
            "v.jsonl:1: hidden: expected names, got an empty one",
        ),
        (
            "v.jsonl",
            '{"id": "a", "broader": 7}\n',
            "v.jsonl:1: broader: expected a text or a list of texts",
        ),
    ],
)
def test_faults_have_a_line(given, name, text, message):
    with pytest.raises(DataError) as error:
        read(given, name, text)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "v.nt",
            "<http://a> <http://b> <http://c> .",
            "v.nt: expected SKOS, got RDF without any skos:prefLabel",
        ),
        (
            "v.jsonld",
            '[{"@context": ["http://example.org/context"]}]',
            "v.jsonld: expected a @context in the file, got one that lies elsewhere, "
            "which is not fetched",
        ),
        (
            "v.ttl",
            skos('skos:prefLabel "b" ; <http://www.w3.org/2002/07/owl#deprecated> true'),
            "v.ttl: expected at least one concept, got none",
        ),
        (
            "v.nt",
            '<http://a> <http://www.w3.org/2004/02/skos/core#prefLabel> "\\uD800" .',
            r"v.nt: expected Unicode text, got half of a surrogate pair in '\ud800'",
        ),
        (
            "v.rdf",
            "<!DOCTYPE r [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]><r>&b;</r>",
            "v.rdf: expected xml: the entity b is too long or holds others",
        ),
        (
            "v.rdf",
            f"<!DOCTYPE r [<!ENTITY a '{'x' * 201}'>]><r>&a;</r>",
            "v.rdf: expected xml: the entity a is too long or holds others",
        ),
    ],
)
def test_rdf_that_is_no_skos_is_refused(given, name, text, message):
    pytest.importorskip("rdflib")
    with pytest.raises(DataError) as error:
        read(given, name, text)
    assert str(error.value) == message


def test_short_entities_of_addresses_are_usual_in_rdf(given):
    pytest.importorskip("rdflib")
    kind = "<!ENTITY skos 'http://www.w3.org/2004/02/skos/core#'>"
    spaces = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:skos="&skos;"'
    concept = '<skos:Concept rdf:about="http://a"><skos:prefLabel>b</skos:prefLabel></skos:Concept>'
    text = f"<!DOCTYPE rdf [{kind}]><rdf:RDF {spaces}>{concept}</rdf:RDF>"
    assert read(given, "v.rdf", text).preferred("http://a") == "b"


def test_what_rdflib_thinks_of_an_address_is_not_said(given, caplog):
    pytest.importorskip("rdflib")
    read(given, "v.ttl", skos('skos:prefLabel "b" ; skos:note <a|b>'))
    assert not caplog.records


def test_half_of_a_surrogate_pair_is_no_text(given):
    for line in ('{"id": "\\udc00"}', '{"id": "a", "names": {"": "\\udc00"}}'):
        with pytest.raises(DataError, match="v.jsonl: expected Unicode text, got half of a surr"):
            read(given, "v.jsonl", line)
    with pytest.raises(DataError, match="Vocabulary: expected Unicode text"):
        Vocabulary.of([("a", "\ud800", "preferred", None)])


def test_more_languages_than_int16_can_count_are_refused():
    names = [("a", "b", "preferred", f"aa-{n:x}") for n in range(2**15)]
    assert len(Vocabulary.of(names[1:]).languages) == 32767
    with pytest.raises(DataError, match="expected at most 32,767 languages, got 32,768"):
        Vocabulary.of(names)


def test_notices_name_what_acts_on_a_terminal():
    pairs = [("a\x1b", "b"), ("b", "a\x1b")]
    names = [(label, "x", "preferred", None) for label in ("a\x1b", "b")]
    (notice,) = Vocabulary.of(names, pairs).notices
    assert r"a\x1b > b" in notice or r"b > a\x1b" in notice


@pytest.mark.parametrize("suffix", ["ttl", "rdf", "nt", "jsonld"])
def test_what_is_no_rdf_is_refused_in_one_line(given, suffix):
    pytest.importorskip("rdflib")
    with pytest.raises(DataError, match=rf"^v\.{suffix}: expected [a-z-]+: [^\n]+$"):
        read(given, f"v.{suffix}", "this\nis {no\nRDF" * 100)


def test_skos_names_the_extra_where_rdflib_is_missing(given, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdflib", None)
    monkeypatch.setitem(sys.modules, "rdflib.namespace", None)
    with pytest.raises(DataError) as error:
        read(given, "v.ttl", TTL)
    needs = "reading SKOS needs rdflib: pip install xmc-trees[skos]"
    assert str(error.value) == f"v.ttl: {needs}"


def test_several_preferred_labels_of_a_language_are_counted(given):
    pytest.importorskip("rdflib")
    found = read(given, "v.ttl", skos('skos:prefLabel "c"@en, "b"@en, "d"@de, ""@fr'))
    assert found.names_of(["http://a/b"], "en") == ["b"]
    later = "names after the preferred one of their language: 1, the first of 'http://a/b'"
    assert found.notices == (
        "empty names: 1; they are left out",
        f"{later}; they are alternative",
    )


def test_a_name_of_10_000_characters_is_left_out_and_counted(given):
    found = read(given, "v.tsv", f"a\t{'x' * 10_000}\na\tshort\nb\t{'y' * 1000}\n")
    assert found.names_of("ab") == ["short", "y" * 1000]
    assert found.notices == (
        "names longer than 1,000 characters: 1, the first of 'a'; they are left out",
    )


def test_cycles_are_broken_counted_and_named():
    rows = [(concept, concept, "preferred", None) for concept in "abcde"]
    pairs = [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"), ("d", "a"), ("e", "e"), ("a", "d")]
    found = Vocabulary.of(rows, pairs)
    assert found.broader_pairs.tolist() == [[0, 1], [0, 3], [1, 2], [2, 3]]
    assert found.notices == (
        "relations that close a cycle of broader: 3, the first b > c > b; they are left out",
    )


def test_two_ways_up_are_no_cycle():
    rows = [(concept, concept, "preferred", None) for concept in "abcd"]
    pairs = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]
    found = Vocabulary.of(rows, pairs)
    assert (len(found.broader_pairs), found.notices) == (4, ())


def test_a_long_way_up_is_walked():
    ids = [f"{i:05}" for i in range(20_000)]
    rows = [(concept, "n", "preferred", None) for concept in ids]
    found = Vocabulary.of(rows, [*zip(ids, ids[1:], strict=False), (ids[-1], ids[0])])
    assert len(found.broader_pairs) == 19_999
    first = "00000 > 00001 > 00002 > 00003 > 00004 > 00005 > ... > 00000"
    assert first in found.notices[0]


# Storage


@pytest.mark.parametrize("rows", [NAMES, [("ä\u2028", "ü (ö)", "hidden", None)], []])
def test_arrays_and_folders_give_the_same_value_back(tmp_path, rows):
    vocabulary = Vocabulary.of(rows, BROADER)
    arrays = vocabulary.to_arrays()
    assert {array.dtype.kind for array in arrays.values()} <= {"i", "u"}
    assert Vocabulary.from_arrays(arrays) == vocabulary
    write_folder(tmp_path / "v", "v.json", {}, arrays, overwrite=False)
    assert Vocabulary.from_arrays(read_folder(tmp_path / "v", "v.json")[1]) == vocabulary


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("name_concepts", lambda a: a[::-1]),
        ("name_concepts", lambda a: a + 3),
        ("name_concepts", lambda a: a.astype(np.int64)),
        ("name_kinds", lambda a: a + np.int8(1)),
        ("name_kinds", lambda a: a[1:]),
        ("name_languages", lambda a: a - np.int16(1)),
        ("broader_pairs", lambda a: a + np.int32(1)),
        ("broader_pairs", lambda a: a[:, :1]),
        ("broader_pairs", lambda a: a[::-1]),
        ("ids", lambda a: a[::-1]),
        ("names_offsets", lambda a: a[1:]),
        ("qualifiers_offsets", lambda a: a[:-1]),
    ],
)
def test_damaged_arrays_are_refused(banks, name, change):
    arrays = banks.to_arrays()
    arrays[name] = change(arrays[name])
    with pytest.raises(ModelError, match="^model: model.json can't be read: "):
        with as_model_error("model", "model.json"):
            Vocabulary.from_arrays(arrays)


def test_a_missing_array_is_named(banks):
    arrays = banks.to_arrays()
    del arrays["name_kinds"]
    with pytest.raises(ModelError, match="no 'name_kinds'$"), as_model_error("m", "model.json"):
        Vocabulary.from_arrays(arrays)


# Ids that begin otherwise in the data.
GND = Vocabulary.of(
    [
        ("https://d-nb.info/gnd/9", "Neun", "preferred", "de"),
        ("https://d-nb.info/gnd/10", "Zehn", "preferred", "de"),
        ("https://d-nb.info/gnd/10", "ten", "preferred", "en"),
        ("https://example.org/other#1", "One", "preferred", "en"),
    ],
    [("https://d-nb.info/gnd/9", "https://d-nb.info/gnd/10")],
)


def test_ids_that_begin_otherwise_are_called_as_in_the_data():
    found = GND.as_in(["gnd:10", "gnd:unknown", "ddc:1/5"])
    assert found.ids == ["gnd:10", "gnd:9", "https://example.org/other#1"]
    assert [name.whole for name in found.all_names("gnd:10")] == ["Zehn", "ten"]
    assert found.preferred("gnd:9") == "Neun"
    assert found.broader("gnd:9") == ["gnd:10"] and found.narrower("gnd:10") == ["gnd:9"]
    assert Vocabulary.from_arrays(found.to_arrays()) == found


@pytest.mark.parametrize(
    "ids", [[], ["gnd:11"], ["https://d-nb.info/gnd/9", "gnd:10"]], ids=["none", "strange", "known"]
)
def test_other_ids_leave_a_vocabulary_as_it_is(ids):
    assert GND.as_in(ids) is GND


def test_no_two_concepts_get_the_same_id():
    known = Vocabulary.of([(label, "x", "preferred", None) for label in ("a:1", "a:2", "b:1:c")])
    assert known.as_in(["b:1:c"]) is known  # has one
    assert known.as_in(["d:2"]).ids == ["b:1:c", "d:1", "d:2"]
    both = Vocabulary.of([(label, "x", "preferred", None) for label in ("1", "a:1", "a:2")])
    assert both.as_in(["2"]) is both  # a:1 would be 1, which is there
