"""What requests and answers look like: the types that are decoded and encoded, and that the document is made of.

Times are RFC 3339 in UTC with milliseconds. Numbers are E.164 with the plus sign, masked for a key without the scope
`read:numbers`. A field that may be null says nothing where it is.
"""
