#!lua flags=allow-oom
-- include rows.lua
-- Leave the seat of a process at an account, unless there is work and the caller may still take it.
-- KEYS[1] the account's state hash
-- ARGV[1] process, ARGV[2] "1" where the caller leaves whatever waits
-- Returns {left (1 or 0), slices that wait to be claimed}.

local waiting = 0
for _, lane in pairs(LANES) do waiting = waiting + redis.call('ZCARD', key('out:' .. lane)) end
local state = redis.call('HGET', key('state'), 'state')
if state and state ~= 'active' then waiting = 0 end -- nothing goes from an account that stands still
if waiting > 0 and ARGV[2] ~= '1' then return { 0, waiting } end
redis.call('ZREM', key('seats'), ARGV[1])
return { 1, waiting }
