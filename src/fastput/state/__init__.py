"""What fastput keeps on this machine from one run to the next: journals of uploads, and what it learnt of stores.

Nothing here is needed for an upload: who gets a JournalError can go on without. Credentials are never kept.
"""

from fastput.state.directory import state_directory
from fastput.state.journal import Journal, JournalSummary, journals
from fastput.state.rows import JournalEntry

__all__ = ["Journal", "JournalEntry", "JournalSummary", "journals", "state_directory"]
