"""Remove the rows of an owner in batches, each with the deadline of an operation.

Their keys are read first, so the call ends although the owner signs in again and again. A batch names keys
and owner, so a row that was given another owner in between stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..base import SupportsOwners, check_key


class OwnerBatches(SupportsOwners):
    """A store that removes up to `owner_batch` rows of an owner at once."""

    owner_batch = 100

    async def delete_all_of(self, owner: str, keep: str | None = None) -> int:
        """Remove an owner's rows, without a pause between batches, as a user waits for it."""
        if keep is not None:
            check_key(keep)
        keys = [key for key in await self.keys_of(owner) if key != keep]
        batches = [keys[first : first + self.owner_batch] for first in range(0, len(keys), self.owner_batch)]
        return sum([await self._delete_owned(owner, batch) for batch in batches])

    async def _delete_owned(self, owner: str, keys: Sequence[str]) -> int:
        """Remove those rows that are the owner's and alive, and return their number."""
        raise NotImplementedError
