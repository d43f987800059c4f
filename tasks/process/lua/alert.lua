#!lua flags=allow-oom
-- include rows.lua
-- Open or resolve an alert of the account.
-- KEYS[1] the account's state hash
-- ARGV[1] code, ARGV[2] detail, ARGV[3] open | resolve
-- Returns 1 where something changed.

return set_alert(ARGV[1], ARGV[2], ARGV[3] == 'open', clock_ms()) and 1 or 0
