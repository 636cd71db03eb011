"""The table of application identifiers agrees with itself, with GS1's list of lengths, and with another table."""

import json
import re
from collections import defaultdict
from importlib import resources

import pytest

from contracts.gs1.table import ENTRIES

# General Specifications, figure 7.8.5-2: digits of the value by the first two digits of the identifier.
PREDEFINED = {"00": 18, "01": 14, "02": 14, "03": 14, "04": 16, "20": 2, "41": 13} | {
    **{str(prefix): 6 for prefix in range(11, 20)},
    **{str(prefix): 6 for prefix in range(31, 37)},
}


def test_the_length_of_an_identifier_follows_from_its_first_two_digits() -> None:
    lengths = defaultdict(set)
    for ai in ENTRIES:
        lengths[ai[:2]].add(len(ai))
    assert {prefix: found for prefix, found in lengths.items() if len(found) > 1} == {}
    assert all(2 <= len(ai) <= 4 and ai.isdigit() for ai in ENTRIES)


def test_what_needs_no_separator_has_its_predefined_length() -> None:
    for ai, entry in ENTRIES.items():
        assert entry.predefined == (ai[:2] in PREDEFINED), ai
        if entry.predefined:
            assert entry.shortest == entry.longest == PREDEFINED[ai[:2]], ai


def test_only_the_last_components_vary_or_are_missing() -> None:
    for ai, entry in ENTRIES.items():
        fixed = [part.shortest == part.longest for part in entry.components]
        assert all(fixed[:-1]), ai
        optional = [part.optional for part in entry.components]
        assert optional == sorted(optional), ai
        assert entry.longest <= 90, ai


def test_everything_an_entry_refers_to_exists() -> None:
    for ai, entry in ENTRIES.items():
        others = [each for group in entry.needs for alternative in group for each in alternative]
        others += [*entry.excludes, *(each for path in entry.paths for each in path)]
        for other in others:
            pattern = re.compile(other.replace("n", "[0-9]"))
            assert any(pattern.fullmatch(known) for known in ENTRIES), (ai, other)


def test_the_keys_of_a_digital_link_and_their_qualifiers() -> None:
    paths = {ai: entry.paths for ai, entry in ENTRIES.items() if entry.is_key}
    assert paths == {
        "00": ((),), "01": (("22", "10", "21"), ("235",)), "253": ((),), "255": ((),), "401": ((),), "402": ((),),
        "414": (("254",), ("7040",)), "415": (("8020",),), "417": (("7040",),), "8003": ((),), "8004": (("7040",),),
        "8006": (("22", "10", "21"),), "8010": (("8011",),), "8013": ((),), "8017": (("8019",),), "8018": (("8019",),),
    }  # fmt: skip
    never_attributes = {ai for ai, entry in ENTRIES.items() if not entry.attribute}
    assert never_attributes == {"03", "21", "22", "235", "254", "7040", "7041", "8011", "8014", "8019", "8020", "8200"}


def test_it_names_the_same_identifiers_as_biip_with_the_same_separators_and_lengths() -> None:
    biip = pytest.importorskip("biip")
    folder = resources.files(biip) / "gs1_application_identifiers"
    theirs = {each["ai"]: each for each in json.loads((folder / "_application_identifiers.json").read_text("utf-8"))}
    assert set(ENTRIES) == set(theirs)
    for ai, entry in ENTRIES.items():
        assert entry.predefined != theirs[ai]["separator_required"], ai
        pattern = re.compile(theirs[ai]["pattern"])
        # Two formats have a character of their own.
        sample = "1/2" if ai == "7258" else "000000-" if ai.startswith("433") else "0" * entry.longest
        assert pattern.fullmatch(ai + sample), (ai, sample)
        assert not pattern.fullmatch(ai + sample + "0"), ai
