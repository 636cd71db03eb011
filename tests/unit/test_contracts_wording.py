from contracts.wording import counted


def test_a_word_has_the_form_of_its_number() -> None:
    said = [counted(number, "case") for number in (0, 1, 2, 1_001)]
    assert said == ["0 cases", "1 case", "2 cases", "1,001 cases"]
    assert [counted(number, "entry", "entries") for number in (1, 12)] == ["1 entry", "12 entries"]
