"""What accounts may do."""

from enum import StrEnum


class Role(StrEnum):
    """What an account may do; each may do what those before it may."""

    VIEWER = "viewer"
    INSPECTOR = "inspector"
    ANALYST = "analyst"
    MANAGER = "manager"

    def covers(self, other: "Role") -> bool:
        """Tell whether this role may do what `other` may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)
