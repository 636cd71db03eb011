import pytest

from trace_service.web.auth.throttle import PER_ADDRESS, PER_LOGIN, REMEMBERED, WINDOW_SECONDS, Throttle
from trace_service.web.errors import TooManyAttemptsError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_login_is_locked_after_too_many_failures_and_free_again_later() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for number in range(PER_LOGIN):
        throttle.attempt("demo", f"address-{number}")
    with pytest.raises(TooManyAttemptsError) as caught:
        throttle.attempt("demo", "another")
    assert caught.value.retry_after == WINDOW_SECONDS
    clock.now += WINDOW_SECONDS
    throttle.attempt("demo", "another")


def test_an_address_that_tries_many_names_is_locked_whoever_it_asks_for() -> None:
    throttle = Throttle(Clock())
    for number in range(PER_ADDRESS):
        throttle.attempt(f"name-{number}", "address")
    with pytest.raises(TooManyAttemptsError):
        throttle.attempt("demo", "address")
    throttle.attempt("demo", "elsewhere")


def test_people_who_succeed_are_never_counted() -> None:
    throttle = Throttle(Clock())
    for _ in range(3 * PER_ADDRESS):
        throttle.attempt("demo", "office")
        throttle.succeeded("demo", "office")


def test_memory_stays_bounded() -> None:
    throttle = Throttle(Clock())
    for number in range(REMEMBERED + 500):
        throttle.attempt(f"name-{number}", f"address-{number}")
    assert len(throttle._counts) <= REMEMBERED
