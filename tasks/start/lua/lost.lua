#!lua flags=allow-oom
-- include rows.lua
-- More of the ledger is missing than the workers can write again: nothing goes out until a person says so.
-- KEYS[1] the account's state hash
-- ARGV[1] what is to be told
-- Returns 1 where an alert was opened.

local now = clock_ms()
if redis.call('HGET', KEYS[1], 'state') ~= 'paused' then
  redis.call('HSET', KEYS[1], 'state', 'paused', 'why', 'ledger_lost', 'since_ms', math.floor(now))
end
return set_alert('ledger_lost', ARGV[1], true, now) and 1 or 0
