"""From what an application hands over to rows: checked, normalised, each number and text once."""
