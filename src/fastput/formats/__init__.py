"""Files that others read or wrote: receipts, lists of digests. Pure but for reading receipts."""
