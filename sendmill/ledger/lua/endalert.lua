#!lua flags=allow-oom
-- include rows.lua
-- End an alert because a person said so.
-- KEYS[1] the account's state hash
-- ARGV[1] code
-- Returns 1 where it was open.

return set_alert(ARGV[1], 'resolved by a person', false, clock_ms()) and 1 or 0
