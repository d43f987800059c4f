"""A vendor's word to the ledger: poll, query, inbox, spool, matching, folding, replies."""
