#!lua flags=allow-oom
-- include rows.lua
-- Let the gate open before the quarantine's time is up: every process that was known has written again what it knew.
-- KEYS[1] the account's state hash
-- ARGV[1] run id for which that holds, ARGV[2] ms since the restart was seen before which it stays closed all the same
-- Returns ms until it opens.

local now = clock_ms()
local clock = redis.call('HMGET', key('clock'), 'run_id', 'restarted', 'quarantine')
local ends = tonumber(clock[3] or '0')
if clock[1] == ARGV[1] and clock[2] then
  ends = math.min(ends, tonumber(clock[2]) + tonumber(ARGV[2]))
  redis.call('HSET', key('clock'), 'quarantine', string.format('%.3f', ends))
end
return math.max(0, math.ceil(ends - now))
