"""Opening and closing episodes, each once."""

from typing import Final, NamedTuple

from geofence.trips.episodes import SEVERITY, Episode, Kind
from geofence.trips.state import State

# What begins again so soon is the same episode.
MERGED_MS: Final = 10 * 60 * 1000


class Span(NamedTuple):
    """When something began, when that became certain, and when it ended, if it has; milliseconds."""

    start: int
    at: int
    end: int | None = None


def ongoing(state: State, kind: Kind, subject: str = "") -> Episode | None:
    """Return the episode of this kind that goes on, if there is one."""
    for each in reversed(state.episodes):
        if each.kind is kind and each.subject == subject:
            return each if each.end is None else None
    return None


def raise_episode(state: State, kind: Kind, span: Span, subject: str = "") -> Episode:
    """Return the episode that goes on, one that ended so lately that this is still the same, or a new one."""
    state.changed = True
    for each in reversed(state.episodes):
        if each.kind is kind and each.subject == subject:
            if each.end is None or span.start - each.end <= MERGED_MS:
                each.end = span.end
                return each
            break
    episode = Episode(kind, subject, span.start, span.at, SEVERITY[kind], [], end=span.end)
    state.episodes.append(episode)
    return episode


def end_episode(state: State, kind: Kind, at: int, subject: str = "") -> Episode | None:
    """End what goes on; return it."""
    episode = ongoing(state, kind, subject)
    if episode is not None:
        episode.end = max(at, episode.start)
        episode.see(at)
        state.changed = True
    return episode


def withdraw(state: State, episode: Episode) -> None:
    """Take back what turned out to be nothing."""
    state.episodes.remove(episode)
    state.changed = True


def once(state: State, kind: Kind, subject: str) -> bool:
    """Whether nothing of this kind was said of this subject yet."""
    return all((each.kind, each.subject) != (kind, subject) for each in state.episodes)


def seconds(milliseconds: int) -> float:
    """Return milliseconds as seconds."""
    return milliseconds / 1000.0
