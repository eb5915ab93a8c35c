"""Token: a secret that stands for a User. Only its hash is kept, so what can be shown is this."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What may be told about a Token: all but the Token. `expires_at` None: it never does."""

    id: int
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
