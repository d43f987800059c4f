-- Where things stand in a slice, as ledger/slices.py has it: included by every script that reads one.

local FORMAT = 'S2' -- of the slices that these scripts understand
local HEADER_BYTES = 108
local ARRAYS_BYTES = 9 -- of each row, between the header and the body
local COUNTERS_AT = 41 -- a number of 4 bytes for each state, then one for submitted rows that no report can follow
local ORDER = 'awqgusdnerfpck'
