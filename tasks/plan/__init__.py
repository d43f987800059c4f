"""Job to rows to slices at accounts: routes, cuts, contents, what must be asked of a vendor first, opt-outs."""
