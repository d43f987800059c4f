#!lua flags=allow-oom
-- include rows.lua
-- Open an alert.
-- KEYS[1] the account's state hash; that of the account "-" for what concerns none
-- ARGV[1] code, ARGV[2] detail
-- Returns 1 where there was anything to tell.

return set_alert(ARGV[1], ARGV[2], true, clock_ms()) and 1 or 0
