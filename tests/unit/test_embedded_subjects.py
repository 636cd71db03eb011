import pytest

from cli.embedded.subjects import subjects
from contracts.errors import ConfigurationError


@pytest.mark.parametrize(
    ("topic_filter", "expected"),
    [
        ("v1/s1/ack/scanner-7", ("v1.s1.ack.scanner-7",)),
        ("v1/+/ack/+", ("v1.*.ack.*",)),
        ("v1/s1/p3/dev_1/#", ("v1.s1.p3.dev_1", "v1.s1.p3.dev_1.>")),
    ],
)
def test_a_topic_filter_means_the_same_as_its_subjects(topic_filter: str, expected: tuple[str, ...]) -> None:
    assert subjects(topic_filter) == expected


@pytest.mark.parametrize(
    "topic_filter",
    ["", "#", "/v1", "v1/", "v1//ack", "v1/s.1/ack", "v1/*/ack", "v1/>", "v1/s 1", "v1/#/ack", "v1/s+/ack", "$SYS/x"],
)
def test_a_name_that_would_widen_its_own_rights_is_refused(topic_filter: str) -> None:
    with pytest.raises(ConfigurationError, match="no topic filter that can be granted"):
        subjects(topic_filter)
