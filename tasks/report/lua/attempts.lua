#!lua flags=allow-oom
-- include rows.lua
-- include past.lua
-- Note what was said of rows besides the outcomes of calls.
-- KEYS[1] the account's state hash
-- ARGV slice, msgpack Attempt, slice, msgpack Attempt, …
-- Returns how many.

for i = 1, #ARGV, 2 do note_attempt(ARGV[i], ARGV[i + 1]) end
return #ARGV / 2
