#!lua flags=allow-oom
-- include rows.lua
-- Let a lane rest: slices that wait in its outbox are claimed again only later, in the order they would have had.
-- KEYS[1] the account's state hash
-- ARGV[1] lane, ARGV[2] ms from now until it ends, ARGV[3] the most slices in one run
-- Returns how many rest now that did not before.

local lane, ends = ARGV[1], clock_ms() + tonumber(ARGV[2])
local slices = redis.call('ZRANGE', key('out:' .. lane), 0, tonumber(ARGV[3]) - 1)
for _, id in ipairs(slices) do
  redis.call('ZREM', key('out:' .. lane), id)
  redis.call('ZADD', key('wait'), ends, id)
end
if #slices > 0 then redis.call('HSET', key('state'), 'quiet:' .. lane, math.floor(ends)) end
return #slices
