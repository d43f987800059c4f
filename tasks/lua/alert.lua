-- include rows.lua
-- Open or resolve an alert of the account, and set its state where asked.
-- KEYS[1] the account's state hash
-- ARGV[1] code, ARGV[2] detail, ARGV[3] open | resolve, ARGV[4] state to set the account to ("" for none)
-- Returns 1 where something changed.

local now = clock_ms()
local code, detail = ARGV[1], ARGV[2]
if ARGV[4] ~= '' then
  redis.call('HSET', key('state'), 'state', ARGV[4], 'why', code, 'since_ms', math.floor(now))
end
return set_alert(code, detail, ARGV[3] == 'open', now) and 1 or 0
